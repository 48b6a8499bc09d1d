//! What a plan says of what was wanted, and the same again when it is carried out.

use std::path::{Path, PathBuf};

use report::PlanSettings;
use sync::{ForeignLayers, Shard, WhichReferrers};
use syncfile::EcrDefaults;

use super::{ListSettings, LockChoice, RunSettings, SigningSettings};
use crate::arguments::{self, RunArguments};
use crate::environment::Environment;
use crate::error::CliError;

/// What of these settings decides what is wanted.
pub(crate) fn record(
    list: &ListSettings,
    signing: &SigningSettings,
    run: &RunSettings,
) -> PlanSettings {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let ecr = &list.ecr;
    PlanSettings {
        target_repo_prefixes: list.prefixes.clone(),
        shard: list.shard.map(|shard| shard.to_string()),
        referrers: match &run.referrers.which {
            WhichReferrers::All => vec!["all".to_owned()],
            WhichReferrers::None => vec!["none".to_owned()],
            WhichReferrers::Types(types) => types.clone(),
        },
        referrers_required: run.referrers.required,
        late_referrers: run.late_referrers,
        foreign_layers: run.foreign_layers == ForeignLayers::Include,
        ecr_account_id: ecr.account.clone(),
        ecr_region: ecr.region.clone(),
        default_lifecycle_policy_file: text(&ecr.lifecycle_policy_file),
        default_permission_policy_file: text(&ecr.permission_policy_file),
        default_resource_tags_file: text(&ecr.resource_tags_file),
        prune_policies: run.ecr.prune_policies,
        ..signing.record()
    }
}

/// What is wanted, as the plan says; from these files.
pub(crate) fn list_of(plan: &PlanSettings, files: Vec<PathBuf>) -> Result<ListSettings, CliError> {
    let shard = plan.shard.as_deref().map(|text| {
        let share = arguments::share(text).ok();
        let shard = share.and_then(|share| Shard::new(share.index?, share.count));
        shard.ok_or_else(|| CliError::usage(format!("the plan is of the share `{text}`")))
    });
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    Ok(ListSettings {
        files,
        prefixes: plan.target_repo_prefixes.clone(),
        ecr: EcrDefaults {
            account: plan.ecr_account_id.clone(),
            region: plan.ecr_region.clone(),
            lifecycle_policy_file: path(&plan.default_lifecycle_policy_file),
            permission_policy_file: path(&plan.default_permission_policy_file),
            resource_tags_file: path(&plan.default_resource_tags_file),
        },
        lock: LockChoice::None,
        shard: shard.transpose()?,
    })
}

/// How the run goes about it, as it was typed, but for what the plan says.
pub(crate) fn run_of(
    plan: &PlanSettings,
    typed: &RunArguments,
    environment: &Environment,
) -> Result<RunSettings, CliError> {
    let mut settings = RunSettings::new(typed, None, None, environment)?;
    let which = match plan.referrers.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["all"] => WhichReferrers::All,
        ["none"] => WhichReferrers::None,
        types => WhichReferrers::Types(types.iter().map(ToString::to_string).collect()),
    };
    settings.referrers = sync::Referrers { which, required: plan.referrers_required };
    settings.late_referrers = plan.late_referrers;
    settings.foreign_layers = match plan.foreign_layers {
        true => ForeignLayers::Include,
        false => ForeignLayers::LeaveOut,
    };
    settings.ecr.prune_policies = plan.prune_policies;
    Ok(settings)
}

/// Whether a file can be written there, as far as that can be told before an hour's work.
pub(crate) fn check_file(file: &Path, what: &str) -> Result<(), CliError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let wrong = |problem: String| {
        Err(CliError::usage(format!("`{}` cannot be the {what}: {problem}", file.display())))
    };
    match folder {
        _ if file.file_name().is_none() || file.is_dir() => wrong("it names no file".to_owned()),
        Some(folder) if !folder.is_dir() => {
            wrong(format!("the folder `{}` does not exist", folder.display()))
        }
        _ => Ok(()),
    }
}

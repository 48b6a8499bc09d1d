//! `plan`: says what `sync` would do, and why; and writes it down for `apply`.

use std::path::PathBuf;

use report::ExitStatus;
use sync::Mode;

use super::sync::List;
use crate::arguments::PlanArguments;
use crate::environment;
use crate::error::CliError;
use crate::run::Context;
use crate::settings::{check_file, flag};

pub(crate) async fn execute(
    typed: &PlanArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let has_code = flag(typed.exit_code, context.environment, environment::EXIT_CODE)?;
    let of_variable = || {
        let found = context.environment.os_text(environment::PLAN_FILE);
        found.map(|found| PathBuf::from(found.value))
    };
    let file = typed.plan_file.clone().or_else(of_variable);
    if let Some(file) = &file {
        check_file(file, "plan")?;
    }
    let list = List::copying(&typed.list, &typed.copying);
    list.run_and(Mode::Plan, has_code, file.as_deref(), context).await
}

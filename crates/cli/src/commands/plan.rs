//! `plan`: says what `sync` would do, and why.

use report::ExitStatus;
use sync::Mode;

use super::sync::List;
use crate::arguments::PlanArguments;
use crate::environment;
use crate::error::CliError;
use crate::run::Context;
use crate::settings::flag;

pub(crate) async fn execute(
    typed: &PlanArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let has_code = flag(typed.exit_code, context.environment, environment::EXIT_CODE)?;
    let list = List {
        list: &typed.list,
        login: &typed.login,
        referrers: Some(&typed.referrers),
        signing: &typed.signing,
        run: &typed.run,
    };
    list.run(Mode::Plan, has_code, context).await
}

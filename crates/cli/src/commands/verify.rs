//! `verify`: checks that the target is what the sync files say.

use report::ExitStatus;
use sync::Mode;

use super::sync::List;
use crate::arguments::VerifyArguments;
use crate::error::CliError;
use crate::run::Context;

pub(crate) async fn execute(
    typed: &VerifyArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let list = List {
        list: &typed.list,
        login: &typed.login,
        referrers: None,
        signing: &typed.signing,
        run: &typed.run,
    };
    list.run(Mode::Verify, false, context).await
}

//! What all clouds have in common here: requests to their services, tokens and errors.

mod error;
mod http;
mod token;
pub(crate) mod trust;

pub use error::{CloudError, CloudErrorKind};
pub use http::{Answer, Http, Reach};
pub(crate) use token::Kept;
pub use token::{Timed, Token, Tokens};

//! What a page passed to a command, read by hand (requirement D8): Tauri would answer a wrong one in its own words, and a page
//! could not tell that from a defect.

use serde_json::Value;
use tauri::ipc::{InvokeBody, Request};

use crate::error::{Error, Result};

/// The argument of that name; `None` if it was not passed.
///
/// # Errors
///
/// `InvalidArgument` if the arguments are not an object.
pub(crate) fn argument<'a>(arguments: &'a Request<'_>, name: &str) -> Result<Option<&'a Value>> {
    match arguments.body() {
        InvokeBody::Json(Value::Object(fields)) => Ok(fields.get(name)),
        // As when there are none.
        InvokeBody::Json(Value::Null) => Ok(None),
        _ => Err(Error::invalid_argument("the arguments are not an object; nothing was done")),
    }
}

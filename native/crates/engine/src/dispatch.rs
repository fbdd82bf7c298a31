//! From a request to the operation that answers it.

use crate::doctor;
use abi::{Code, Control, Fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Answers one request. `op` names the operation, the other fields are its request struct (`abi::request`).
///
/// # Errors
/// Whatever the operation reports; [`Code::Internal`] when the request is not of the shape that the operation takes.
pub fn dispatch(mut request: Value, control: &Control) -> Result<Value, Fault> {
    let op = request.as_object_mut().and_then(|fields| fields.remove("op"));
    let op = op.as_ref().and_then(Value::as_str).unwrap_or_default();
    match op {
        "doctor" => answer(request, control, doctor::examine),
        _ => Err(unknown(op)),
    }
}

/// Decodes the request, runs the operation and encodes its answer.
fn answer<R: DeserializeOwned, T: Serialize>(
    request: Value,
    control: &Control,
    operation: impl FnOnce(R, &Control) -> Result<T, Fault>,
) -> Result<Value, Fault> {
    let request = serde_json::from_value(request)
        .map_err(|error| Fault::new(Code::Internal, "Could not understand the request").because(error))?;
    let answer = operation(request, control)?;
    serde_json::to_value(answer)
        .map_err(|error| Fault::new(Code::Internal, "Could not put the answer into JSON").because(error))
}

fn unknown(op: &str) -> Fault {
    Fault::new(Code::Other, format!("Could not run \"{op}\": no such operation"))
}

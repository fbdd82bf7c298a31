//! From a request to the operation that answers it.

use crate::state::volumes;
use crate::{
    capsules, cloning, doctor, environments, inspect, residence, resources, restore, snapshot, store,
};
use abi::{Code, Control, Fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The small programs that an operation may need to start, as bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Programs {
    /// The capsule's helper; empty in a build without it.
    pub init: &'static [u8],
}

/// Answers one request. `op` names the operation, the other fields are its request struct (`abi::request`).
///
/// # Errors
/// Whatever the operation reports; [`Code::Internal`] when the request is not of the shape that the operation takes.
pub fn dispatch(mut request: Value, programs: Programs, control: &Control) -> Result<Value, Fault> {
    let op = request.as_object_mut().and_then(|fields| fields.remove("op"));
    let op = op.as_ref().and_then(Value::as_str).unwrap_or_default();
    match op {
        "snapshot" => answer(request, control, snapshot::take),
        "snapshot_together" => answer(request, control, snapshot::together::take),
        "restore_together" => answer(request, control, |request, control| {
            restore::together::bring_back(request, programs.init, control)
        }),
        "depart" => answer(request, control, snapshot::departing::depart),
        "restore" => answer(request, control, |request, control| {
            restore::bring_back(request, programs.init.into(), control)
        }),
        "clone" => {
            answer(request, control, |request, control| cloning::make(request, programs.init, control))
        }
        "load" => {
            answer(request, control, |request, control| residence::load(request, programs.init, control))
        }
        "unload" => answer(request, control, residence::unload),
        "loaded" => answer(request, control, residence::list),
        "adopt_volumes" => answer(request, control, volumes::adopt),
        "inspect" => answer(request, control, inspect::describe),
        "doctor" => answer(request, control, doctor::examine),
        "run" => answer(request, control, |request, _| capsules::run(request, programs.init)),
        "attach" => answer(request, control, capsules::attach),
        "signal" => answer(request, control, capsules::signal),
        "stop" => answer(request, control, capsules::stop),
        "wait" => answer(request, control, capsules::wait),
        "exec" => answer(request, control, capsules::exec),
        "ids" => answer(request, control, resources::list),
        "ps" => answer(request, control, capsules::ps),
        "names" => answer(request, control, capsules::names),
        "members" => answer(request, control, environments::members),
        "owner" => answer(request, control, capsules::owner),
        "make_environment" => answer(request, control, environments::make),
        "remove_environment" => answer(request, control, environments::remove),
        "inspect_environment" => answer(request, control, environments::inspect),
        "remove" => answer(request, control, capsules::remove),
        "list" => answer(request, control, store::list),
        "verify" => answer(request, control, store::verify),
        "link_volumes" => answer(request, control, volumes::link),
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

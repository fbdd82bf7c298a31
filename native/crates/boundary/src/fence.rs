//! Turns whatever an operation does, a panic included, into a response.

use crate::embedded;
use abi::{Code, Control, Fault};
use engine::Programs;
use serde_json::{Value, json};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs one request to its end and encodes what came of it: `{"ok": ...}` or `{"error": ...}`.
pub fn respond(request: &[u8], control: &Control) -> Vec<u8> {
    let programs = Programs { init: embedded::INIT };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        decode(request).and_then(|value| engine::dispatch(value, programs, control))
    }));
    encode(outcome.unwrap_or_else(|payload| Err(panicked(payload.as_ref())))).to_string().into_bytes()
}

/// Runs `body`; a panic becomes `fallback`, because unwinding into the caller's frames would abort it.
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

fn decode(request: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(request)
        .map_err(|error| Fault::new(Code::Internal, "Could not read the request").because(error))
}

fn encode(outcome: Result<Value, Fault>) -> Value {
    match outcome {
        Ok(answer) => json!({ "ok": answer }),
        Err(fault) => {
            let mut error =
                serde_json::to_value(&fault).unwrap_or_else(|_| json!({ "message": fault.message }));
            error["exit"] = json!(fault.code.exit());
            json!({ "error": error })
        }
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Fault {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    Fault::new(Code::Internal, "Could not finish because of a fault inside stasis")
        .because(text.unwrap_or_else(|| "a panic without a message".to_owned()))
        .hint("Run \"stasis ps\" to see how your applications are, and report this message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(response: &[u8]) -> Value {
        serde_json::from_slice::<Value>(response).unwrap()["error"].take()
    }

    #[test]
    fn a_request_that_is_not_json_is_our_fault() {
        let error = error_of(&respond(b"{", &Control::new()));
        assert_eq!(error["code"], "internal");
        assert_eq!(error["exit"], 70);
    }

    #[test]
    fn a_panic_becomes_an_internal_fault_with_its_message() {
        let payload = catch_unwind(|| panic!("lost the {}", "thread")).unwrap_err();
        let error = encode(Err(panicked(payload.as_ref())))["error"].take();
        assert_eq!(error["exit"], 70);
        assert_eq!(error["causes"], json!(["lost the thread"]));
    }

    #[test]
    fn guard_answers_the_fallback_after_a_panic() {
        assert_eq!(guard(-1, || panic!("no")), -1);
    }
}

//! Messages on a byte stream that also carries descriptors.
//!
//! ```text
//! | u32 length of the body | u32 number of descriptors | body: JSON |      numbers little-endian
//! ```
//! Descriptors travel beside the bytes (SCM_RIGHTS) and arrive in order, so a count is enough to know whose they are.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;

/// Longest body: arguments and environment together may fill 2 MiB (execve(2)), more with JSON's quotes.
pub const MAX_BODY: usize = 8 << 20;
/// Most descriptors that belong to one message.
pub const MAX_DESCRIPTORS: usize = 16;

const HEADER: usize = 8;

/// Why a stream cannot be understood any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    TooLong,
    TooManyDescriptors,
    NotUnderstood,
    MissingDescriptors,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a message is longer than allowed",
            Self::TooManyDescriptors => "a message carries more descriptors than allowed",
            Self::NotUnderstood => "a message is not of a known shape",
            Self::MissingDescriptors => "a message came without its descriptors",
        })
    }
}

impl std::error::Error for FrameError {}

/// The bytes of one message that goes with `descriptors` descriptors.
pub fn encode(message: &impl Serialize, descriptors: usize) -> Result<Vec<u8>, FrameError> {
    if descriptors > MAX_DESCRIPTORS {
        return Err(FrameError::TooManyDescriptors);
    }
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, message).map_err(|_| FrameError::NotUnderstood)?;
    let length = bytes.len() - HEADER;
    if length > MAX_BODY {
        return Err(FrameError::TooLong);
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[4..HEADER].copy_from_slice(&(descriptors as u32).to_le_bytes());
    Ok(bytes)
}

/// Collects what arrives until whole messages are there. `D` is the type of an owned descriptor.
#[derive(Debug)]
pub struct Inbox<D> {
    bytes: Vec<u8>,
    descriptors: VecDeque<D>,
}

impl<D> Default for Inbox<D> {
    fn default() -> Self {
        Self { bytes: Vec::new(), descriptors: VecDeque::new() }
    }
}

impl<D> Inbox<D> {
    /// Adds what one receive call brought.
    pub fn accept(&mut self, bytes: &[u8], descriptors: Vec<D>) {
        self.bytes.extend_from_slice(bytes);
        self.descriptors.extend(descriptors);
    }

    /// The next whole message with its descriptors; `None` while more bytes are needed.
    pub fn take<M: DeserializeOwned>(&mut self) -> Result<Option<(M, Vec<D>)>, FrameError> {
        let Some((length, descriptors)) = self.header()? else { return Ok(None) };
        let Some(body) = self.bytes.get(HEADER..HEADER + length) else { return Ok(None) };
        let message = serde_json::from_slice(body).map_err(|_| FrameError::NotUnderstood)?;
        if descriptors > self.descriptors.len() {
            return Err(FrameError::MissingDescriptors);
        }
        self.bytes.drain(..HEADER + length);
        Ok(Some((message, self.descriptors.drain(..descriptors).collect())))
    }

    fn header(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let word = |at: usize| -> Option<usize> {
            let bytes = self.bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes) as usize)
        };
        let (Some(length), Some(descriptors)) = (word(0), word(4)) else { return Ok(None) };
        match (length, descriptors) {
            (length, _) if length > MAX_BODY => Err(FrameError::TooLong),
            (_, count) if count > MAX_DESCRIPTORS => Err(FrameError::TooManyDescriptors),
            sizes => Ok(Some(sizes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_and_with_their_own_descriptors() {
        let mut stream = encode(&"first", 1).unwrap();
        stream.extend(encode(&"second", 2).unwrap());
        let mut inbox = Inbox::default();
        inbox.accept(&stream[..5], vec![10]);
        assert_eq!(inbox.take::<String>(), Ok(None));
        inbox.accept(&stream[5..], vec![20, 21]);
        assert_eq!(inbox.take::<String>(), Ok(Some(("first".into(), vec![10]))));
        assert_eq!(inbox.take::<String>(), Ok(Some(("second".into(), vec![20, 21]))));
        assert_eq!(inbox.take::<String>(), Ok(None));
    }

    #[test]
    fn hostile_headers_are_refused_before_anything_is_stored() {
        let refused = |header: [u32; 2]| {
            let mut inbox = Inbox::<i32>::default();
            inbox.accept(&header.map(u32::to_le_bytes).concat(), vec![]);
            inbox.take::<String>().unwrap_err()
        };
        assert_eq!(refused([u32::MAX, 0]), FrameError::TooLong);
        assert_eq!(refused([2, 17]), FrameError::TooManyDescriptors);
    }

    #[test]
    fn a_message_without_its_descriptors_is_refused() {
        let mut inbox = Inbox::<i32>::default();
        inbox.accept(&encode(&1, 1).unwrap(), vec![]);
        assert_eq!(inbox.take::<i32>(), Err(FrameError::MissingDescriptors));
    }
}

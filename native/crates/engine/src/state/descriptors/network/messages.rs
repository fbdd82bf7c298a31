//! Netlink messages as bytes, which the crate `network` knows.

pub use network::messages::{
    Conversation, NLM_F_ACK, NLM_F_REQUEST, attribute, attributes, half, message, nest, word,
};

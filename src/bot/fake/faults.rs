//! Calls that go wrong, as tests ask for.

use std::time::Duration;

/// A call that goes wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only calls of this method, its name in any case.
    pub method: Option<String>,
    /// Only calls for this chat.
    pub chat: Option<i64>,
    /// How many calls; each is counted down.
    pub times: u32,
    /// What happens to them.
    pub harm: Harm,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Refused with 429 and `retry_after`.
    TooMany {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// Answered with this status and no JSON; nothing is done.
    Status(u16),
    /// Refused as Telegram does: a code, and what it says.
    Refused(u16, &'static str),
    /// Done, and the connection is closed before the answer.
    DropReply,
    /// Not done, and the connection is closed.
    DropRequest,
    /// Done after a while.
    Delay(Duration),
    /// Done, and answered after a while.
    SlowReply(Duration),
}

impl Fault {
    /// Every call of a method, that many times.
    pub fn of(method: &str, times: u32, harm: Harm) -> Self {
        Self { method: Some(method.to_owned()), chat: None, times, harm }
    }

    /// Only for this chat.
    #[must_use]
    pub fn in_chat(self, chat: i64) -> Self {
        Self { chat: Some(chat), ..self }
    }

    fn meets(&self, method: &str, chat: Option<i64>) -> bool {
        self.times > 0
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.chat.is_none_or(|wanted| Some(wanted) == chat)
    }
}

/// What happens to this call; the fault that says so is counted down.
pub(super) fn take(faults: &mut Vec<Fault>, method: &str, chat: Option<i64>) -> Option<Harm> {
    let fault = faults.iter_mut().find(|fault| fault.meets(method, chat))?;
    fault.times -= 1;
    let harm = fault.harm;
    faults.retain(|fault| fault.times > 0);
    Some(harm)
}

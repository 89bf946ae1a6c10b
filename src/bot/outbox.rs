//! Which message may leave when: a pure function over time, so that tests can run a day of it in a moment.
//!
//! Telegram lets a bot send 30 messages a second over all chats, about one a second to a chat with short bursts, and 20 a minute to a group.
//! A chat's messages leave in their order, one at a time: the next one goes only once this one has arrived or has failed for good.
//! Chats that wait take turns by who has waited longest.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

/// How fast messages may leave.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages within any second, over all chats.
    pub per_second: usize,
    /// Between two messages of one chat, in the long run.
    pub chat_every: Duration,
    /// How many messages of one chat may leave at once after it was silent.
    pub chat_burst: u32,
    /// Messages within any minute to one group.
    pub group_per_minute: usize,
}

/// What Telegram allows.
pub const TELEGRAM: Limits =
    Limits { per_second: 30, chat_every: Duration::from_secs(1), chat_burst: 5, group_per_minute: 20 };

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Two chats told to wait within this long: it is not these chats, it is the bot.
const TOGETHER: Duration = Duration::from_secs(2);
/// The first wait after a failure that may pass; doubled for each further one in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Past this many chats that wait for nothing, those that have been silent are forgotten.
const IDLE_CHATS: usize = 10_000;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send the message of this id to this chat.
    Send {
        /// The chat.
        chat: i64,
        /// The message.
        id: i64,
    },
    /// Nothing before then.
    At(Duration),
    /// Nothing until a message comes or arrives.
    Idle,
}

/// What became of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It arrived, or will never.
    Settled,
    /// Telegram wants to be left alone for this long.
    TooMany(Duration),
    /// Something failed that may pass.
    Failed,
}

/// The messages that wait, and when they may leave. Instants are times since any fixed moment.
#[derive(Debug)]
pub struct Pacer {
    limits: Limits,
    chats: HashMap<i64, Chat>,
    /// Chats that have something to send and nothing on its way: when they may, and since when they wait.
    ready: BinaryHeap<Reverse<(Duration, u64, i64)>>,
    /// When the last messages left, over all chats.
    left: VecDeque<Duration>,
    /// Nothing leaves before then.
    paused_until: Duration,
    /// The last chat that was told to wait, and when.
    told_to_wait: Option<(i64, Duration)>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Chat {
    waiting: VecDeque<i64>,
    on_its_way: bool,
    /// Messages that could leave at once, at `counted_at`: refilled as time passes.
    burst_used: Duration,
    counted_at: Duration,
    /// Of a group: when its last messages left.
    left: VecDeque<Duration>,
    not_before: Duration,
    failures: u32,
}

impl Pacer {
    /// Nothing waits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chats: HashMap::new(),
            ready: BinaryHeap::new(),
            left: VecDeque::new(),
            paused_until: Duration::ZERO,
            told_to_wait: None,
            turn: 0,
        }
    }

    /// A message waits, behind the others of its chat.
    pub fn add(&mut self, now: Duration, chat: i64, id: i64) {
        self.forget_idle(now);
        let waits = self.chats.entry(chat).or_default();
        waits.waiting.push_back(id);
        if waits.waiting.len() == 1 && !waits.on_its_way {
            self.queue(now, chat);
        }
    }

    /// How many messages wait or are on their way.
    pub fn len(&self) -> usize {
        self.chats.values().map(|chat| chat.waiting.len()).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What to do now. A message that is given counts as sent at this moment.
    pub fn next(&mut self, now: Duration) -> Next {
        while self.left.front().is_some_and(|left| *left + SECOND <= now) {
            self.left.pop_front();
        }
        loop {
            let Some(Reverse((at, turn, chat))) = self.ready.pop() else { return Next::Idle };
            let mut allowed = at.max(self.paused_until);
            if self.left.len() >= self.limits.per_second {
                allowed = allowed.max(self.left[0] + SECOND);
            }
            if allowed > now {
                // The first in line waits; so do all others, unless only this chat is held back, and then it stands further behind.
                self.ready.push(Reverse((at, turn, chat)));
                return Next::At(allowed);
            }
            let limits = self.limits;
            let Some(waits) = self.chats.get_mut(&chat) else { continue };
            let Some(id) = waits.waiting.front().copied() else { continue };
            let own = waits.allowed_at(chat, now, &limits);
            if own > now {
                self.ready.push(Reverse((own, turn, chat)));
                continue;
            }
            waits.leaves(chat, now, &limits);
            self.left.push_back(now);
            return Next::Send { chat, id };
        }
    }

    /// What became of the message of this chat that was on its way.
    pub fn sent(&mut self, now: Duration, chat: i64, sent: Sent) {
        let Some(waits) = self.chats.get_mut(&chat) else { return };
        waits.on_its_way = false;
        match sent {
            Sent::Settled => {
                waits.waiting.pop_front();
                waits.failures = 0;
            }
            Sent::TooMany(wait) => {
                waits.not_before = now + wait;
                let other = self.told_to_wait.filter(|(other, at)| *other != chat && *at + TOGETHER > now);
                if other.is_some() {
                    self.paused_until = self.paused_until.max(now + wait);
                }
                self.told_to_wait = Some((chat, now));
            }
            Sent::Failed => {
                waits.not_before =
                    now + (FIRST_WAIT * 2_u32.saturating_pow(waits.failures.min(16))).min(LONGEST_WAIT);
                waits.failures += 1;
            }
        }
        if !waits.waiting.is_empty() {
            self.queue(now, chat);
        }
    }

    /// Nothing that waits for this chat will be sent. What is on its way stays so.
    pub fn forget(&mut self, chat: i64) {
        if let Some(waits) = self.chats.get_mut(&chat) {
            let kept = usize::from(waits.on_its_way);
            waits.waiting.truncate(kept);
        }
    }

    fn queue(&mut self, now: Duration, chat: i64) {
        let Some(waits) = self.chats.get(&chat) else { return };
        self.turn += 1;
        let at = waits.allowed_at(chat, now, &self.limits).max(now);
        self.ready.push(Reverse((at, self.turn, chat)));
    }

    fn forget_idle(&mut self, now: Duration) {
        if self.chats.len() > IDLE_CHATS {
            self.chats.retain(|_, chat| {
                !chat.waiting.is_empty()
                    || chat.on_its_way
                    || chat.counted_at + MINUTE > now
                    || chat.not_before > now
            });
        }
    }
}

impl Chat {
    /// When its next message may leave, as far as the chat goes.
    fn allowed_at(&self, chat: i64, now: Duration, limits: &Limits) -> Duration {
        let burst = limits.chat_every * limits.chat_burst.saturating_sub(1);
        let used = self.burst_used.saturating_sub(now.saturating_sub(self.counted_at));
        let by_chat = now + used.saturating_sub(burst);
        let by_group = match self.left.front() {
            Some(first) if is_group(chat) && self.left.len() >= limits.group_per_minute => *first + MINUTE,
            _ => Duration::ZERO,
        };
        by_chat.max(by_group).max(self.not_before)
    }

    fn leaves(&mut self, chat: i64, now: Duration, limits: &Limits) {
        let used = self.burst_used.saturating_sub(now.saturating_sub(self.counted_at));
        (self.burst_used, self.counted_at) = (used + limits.chat_every, now);
        self.on_its_way = true;
        if is_group(chat) {
            self.left.push_back(now);
            while self.left.len() > limits.group_per_minute {
                self.left.pop_front();
            }
        }
    }
}

/// Groups have negative ids.
fn is_group(chat: i64) -> bool {
    chat < 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends everything with calls that take `call`, and gives when each message left, by chat and id.
    fn drain(pacer: &mut Pacer, call: Duration) -> Vec<(Duration, i64, i64)> {
        let mut sent = vec![];
        let mut ends: BinaryHeap<Reverse<(Duration, i64)>> = BinaryHeap::new();
        let mut now = Duration::ZERO;
        loop {
            while let Some(Reverse((end, chat))) =
                ends.peek().copied().filter(|Reverse((end, _))| *end <= now)
            {
                ends.pop();
                pacer.sent(end, chat, Sent::Settled);
            }
            let end = ends.peek().map(|Reverse((end, _))| *end);
            match (pacer.next(now), end) {
                (Next::Send { chat, id }, _) => {
                    sent.push((now, chat, id));
                    ends.push(Reverse((now + call, chat)));
                }
                (Next::At(at), end) => {
                    assert!(at > now, "waits for what is past");
                    now = end.map_or(at, |end| end.min(at));
                }
                (Next::Idle, Some(end)) => now = end,
                (Next::Idle, None) => return sent,
            }
        }
    }

    fn holds_limits(sent: &[(Duration, i64, i64)]) {
        for (i, (at, ..)) in sent.iter().enumerate() {
            let within = sent[i..].iter().take_while(|(later, ..)| *later < *at + SECOND).count();
            assert!(within <= TELEGRAM.per_second, "{within} messages within a second of {at:?}");
        }
        let mut by_chat: HashMap<i64, Vec<(Duration, i64)>> = HashMap::new();
        for (at, chat, id) in sent {
            by_chat.entry(*chat).or_default().push((*at, *id));
        }
        for (chat, sent) in by_chat {
            assert!(sent.is_sorted_by_key(|(_, id)| *id), "chat {chat} lost its order");
            for (i, (at, _)) in sent.iter().enumerate() {
                for (n, (later, _)) in sent[i..].iter().enumerate() {
                    let refilled = later.saturating_sub(*at).as_secs() + u64::from(TELEGRAM.chat_burst);
                    assert!(n as u64 <= refilled, "chat {chat} was flooded");
                }
                let minute = sent[i..].iter().take_while(|(later, _)| *later < *at + MINUTE).count();
                assert!(chat > 0 || minute <= TELEGRAM.group_per_minute, "group {chat} was flooded");
            }
        }
    }

    #[test]
    fn five_thousand_messages_leave_at_the_allowed_pace() {
        let mut pacer = Pacer::new(TELEGRAM);
        for id in 0..5_000 {
            pacer.add(Duration::ZERO, id % 2_500 + 1, id);
        }
        let sent = drain(&mut pacer, Duration::from_millis(80));
        holds_limits(&sent);
        let (took, best) = (sent.last().unwrap().0.as_secs_f64(), 5_000.0 / 30.0);
        assert_eq!(sent.len(), 5_000);
        assert!(took < best * 1.03, "{took} s, the best is {best} s");
    }

    #[test]
    fn a_flooded_chat_holds_no_other_back() {
        let mut pacer = Pacer::new(TELEGRAM);
        for id in 0..500 {
            pacer.add(Duration::ZERO, 1, id);
        }
        pacer.add(Duration::ZERO, 2, 1_000);
        let sent = drain(&mut pacer, Duration::from_millis(50));
        holds_limits(&sent);
        let other = sent.iter().find(|(_, chat, _)| *chat == 2).unwrap().0;
        assert!(other < Duration::from_millis(100), "the other chat waited {other:?}");
    }

    #[test]
    fn retry_after_holds_the_chat_and_two_of_them_hold_the_bot() {
        let mut pacer = Pacer::new(TELEGRAM);
        for chat in 1..=3 {
            pacer.add(Duration::ZERO, chat, chat);
        }
        let now = Duration::from_secs(1);
        assert_eq!(pacer.next(now), Next::Send { chat: 1, id: 1 });
        pacer.sent(now, 1, Sent::TooMany(Duration::from_secs(5)));
        assert_eq!(pacer.next(now), Next::Send { chat: 2, id: 2 });
        pacer.sent(now, 2, Sent::TooMany(Duration::from_secs(7)));
        assert_eq!(pacer.next(now), Next::At(Duration::from_secs(8)), "the third chat waits, too");
        assert_eq!(pacer.next(Duration::from_secs(8)), Next::Send { chat: 3, id: 3 });
        assert_eq!(
            pacer.next(Duration::from_secs(8)),
            Next::Send { chat: 1, id: 1 },
            "what failed is sent again"
        );
    }

    #[test]
    fn failures_wait_longer_and_longer_and_keep_the_order() {
        let mut pacer = Pacer::new(TELEGRAM);
        pacer.add(Duration::ZERO, 1, 10);
        pacer.add(Duration::ZERO, 1, 11);
        let mut now = Duration::ZERO;
        for wait in [1, 2, 4, 8] {
            assert_eq!(pacer.next(now), Next::Send { chat: 1, id: 10 });
            pacer.sent(now, 1, Sent::Failed);
            assert_eq!(pacer.next(now), Next::At(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
        }
        assert_eq!(pacer.next(now), Next::Send { chat: 1, id: 10 });
        pacer.sent(now, 1, Sent::Settled);
        assert_eq!(pacer.next(now), Next::Send { chat: 1, id: 11 });
    }

    proptest! {
        #[test]
        fn no_limit_is_passed_and_nothing_is_lost(
            chats in proptest::collection::vec(prop_oneof![1..40_i64, -4..-1_i64], 1..400),
            call in 0..900_u64,
        ) {
            let mut pacer = Pacer::new(TELEGRAM);
            for (id, chat) in (0..).zip(&chats) {
                pacer.add(Duration::ZERO, *chat, id);
            }
            let sent = drain(&mut pacer, Duration::from_millis(call));
            prop_assert_eq!(sent.len(), chats.len());
            holds_limits(&sent);
        }
    }
}

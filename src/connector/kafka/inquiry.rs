//! Whether there is a topic, out of what brokers answer, without I/O. It must be sure: a pipeline stops where its topic is missing, and a mart over a pipeline that wrote
//! none yet takes it for empty.
//!
//! A broker that starts answers before it knows the cluster, and one that ends goes on answering; neither takes part in the cluster, and where nobody does, no broker is listed:
//! such an answer counts for nothing. One that takes part may be a moment behind the others, so a topic is missing only once several answers in a row know of none. The client asks
//! whichever broker is up.

use rdkafka::types::RDKafkaErrorCode as Code;

/// Answers in a row that know of no topic, until there is none.
const SURE: u32 = 3;

/// What one answer says.
#[derive(Debug)]
pub(super) struct Answer {
    /// Brokers that take part in the cluster.
    pub(super) brokers: usize,
    /// What is said of the topic; `None` = nothing.
    pub(super) topic: Option<Result<Vec<i32>, Code>>,
}

/// What the answers so far come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has these partitions.
    There(Vec<i32>),
    /// There is no such topic.
    Missing,
    /// It is to be asked again.
    Unsure,
    /// The question is refused.
    Refused(Code),
}

/// A question that is asked until the answer is sure.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    /// How many answers in a row knew of no topic.
    unknown: u32,
}

impl Inquiry {
    /// Takes in one more answer.
    pub(super) fn hear(&mut self, answer: Answer) -> Verdict {
        let unknown = std::mem::take(&mut self.unknown);
        match answer.topic {
            Some(Err(code)) if !passes(code) => Verdict::Refused(code),
            _ if answer.brokers == 0 => Verdict::Unsure,
            Some(Ok(mut partitions)) => {
                partitions.sort_unstable();
                if whole(&partitions) { Verdict::There(partitions) } else { Verdict::Unsure }
            }
            // A topic that is being made.
            Some(Err(Code::LeaderNotAvailable)) => Verdict::Unsure,
            None | Some(Err(_)) => {
                self.unknown = unknown + 1;
                if self.unknown < SURE { Verdict::Unsure } else { Verdict::Missing }
            }
        }
    }
}

/// What a broker says of a topic that it does not know, or not yet.
fn passes(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::LeaderNotAvailable)
}

/// Partitions are numbered without gaps: where one is missing, the broker has not heard of it yet.
fn whole(partitions: &[i32]) -> bool {
    !partitions.is_empty() && partitions.iter().zip(0..).all(|(partition, number)| *partition == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer says of a topic.
    type Said = Option<Result<Vec<i32>, Code>>;

    const UNKNOWN: Said = Some(Err(Code::UnknownTopicOrPartition));

    /// What becomes of answers one after another, each a number of brokers and what they say of the topic.
    fn verdicts(answers: Vec<(usize, Said)>) -> Vec<Verdict> {
        let mut inquiry = Inquiry::default();
        answers.into_iter().map(|(brokers, topic)| inquiry.hear(Answer { brokers, topic })).collect()
    }

    #[test]
    fn a_topic_is_there_where_a_broker_of_the_cluster_lists_all_of_it() {
        assert_eq!(verdicts(vec![(1, Some(Ok(vec![2, 0, 1])))]), [Verdict::There(vec![0, 1, 2])]);
        for partial in [vec![], vec![1], vec![0, 2]] {
            assert_eq!(verdicts(vec![(3, Some(Ok(partial)))]), [Verdict::Unsure]);
        }
        assert_eq!(verdicts(vec![(1, Some(Err(Code::LeaderNotAvailable)))]), [Verdict::Unsure]);
    }

    #[test]
    fn a_topic_is_missing_once_several_answers_in_a_row_know_of_none() {
        use Verdict::{Missing, There, Unsure};
        assert_eq!(verdicts(vec![(1, UNKNOWN), (1, None), (1, UNKNOWN)]), [Unsure, Unsure, Missing]);
        // A broker that was a moment behind.
        let heard = verdicts(vec![(3, UNKNOWN), (3, UNKNOWN), (3, Some(Ok(vec![0])))]);
        assert_eq!(heard, [Unsure, Unsure, There(vec![0])]);
        // What was said before it is forgotten.
        let made = Some(Err(Code::LeaderNotAvailable));
        assert_eq!(
            verdicts(vec![(1, UNKNOWN), (1, UNKNOWN), (1, made), (1, UNKNOWN)]),
            [Unsure, Unsure, Unsure, Unsure]
        );
    }

    /// Such as one that has just started, or is about to end.
    #[test]
    fn a_broker_outside_the_cluster_says_nothing() {
        for topic in [None, UNKNOWN, Some(Ok(vec![0]))] {
            let answers = std::iter::repeat_n((0, topic), 10).collect();
            assert!(verdicts(answers).iter().all(|verdict| *verdict == Verdict::Unsure));
        }
        let heard = verdicts(vec![(1, UNKNOWN), (1, UNKNOWN), (0, None), (1, UNKNOWN)]);
        assert!(heard.iter().all(|verdict| *verdict == Verdict::Unsure), "{heard:?}");
    }

    #[test]
    fn a_refusal_is_told_at_once() {
        let refused = Code::TopicAuthorizationFailed;
        for brokers in [0, 1] {
            assert_eq!(verdicts(vec![(brokers, Some(Err(refused)))]), [Verdict::Refused(refused)]);
        }
    }
}

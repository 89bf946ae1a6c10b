//! What librdkafka says, as an error of ours: a kind, the thing, and what to do.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

use crate::connector::error::{Error, ErrorKind};

/// A client that cannot be made from what the project says.
pub(super) fn unsuitable(what: &str, error: &KafkaError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} cannot be used")).caused_by(error.clone())
}

/// A call that failed; `heard` = why the client's last connection failed, which is the better reason where the call merely waited in vain.
pub(super) fn failed(what: &str, error: &KafkaError, heard: Option<&str>) -> Error {
    let code = error.rdkafka_error_code();
    if let (true, Some(heard)) = (code.is_none_or(waited), heard)
        && let Some(error) = connection(what, heard)
    {
        return error;
    }
    let Some(code) = code else {
        return Error::new(ErrorKind::Io, what).caused_by(error.clone());
    };
    let (kind, hint) = of_code(code);
    let error = Error::new(kind, what).caused_by(code);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Codes of calls that found no broker to answer.
fn waited(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::SSL
            | Code::Authentication
            | Code::Resolve
            | Code::NodeUpdate
    )
}

/// The reason for which a connection failed, told without the client's own decoration.
fn connection(what: &str, heard: &str) -> Option<Error> {
    let has = |part: &str| heard.contains(part);
    let (kind, reason, hint) = if has("Failed to resolve") {
        (ErrorKind::Unreachable, "a broker's host name is unknown", "check `brokers`")
    } else if has("certificate verify failed") {
        // The library does not say which of the three it is.
        (
            ErrorKind::Denied,
            "a broker's certificate cannot be verified",
            "check `security.ca_file`, that `brokers` are named as their certificates are, and that these have not expired",
        )
    } else if has("SSL handshake failed") || has("SSL transport error") {
        (ErrorKind::Unreachable, "TLS failed", "check `security.protocol`, and that the port is one for TLS")
    } else if has("authentication") || has("Authentication") {
        (
            ErrorKind::Denied,
            "user or password is wrong",
            "check `security.user`, `security.password` and `security.mechanism`",
        )
    } else if has("Connection refused") {
        (
            ErrorKind::Unreachable,
            "a broker refuses connections",
            "check `brokers`, and that the cluster is up",
        )
    } else if has("ApiVersionRequest") || has("Disconnected while requesting") {
        (
            ErrorKind::Unreachable,
            "a broker hangs up at once",
            "check `security.protocol`: the port may be one for TLS",
        )
    } else {
        return None;
    };
    Some(Error::new(kind, format!("{what}: {reason}")).hint(hint))
}

/// What a code means for us.
pub(super) fn of_code(code: Code) -> (ErrorKind, Option<&'static str>) {
    match code {
        Code::TopicAuthorizationFailed => (
            ErrorKind::Denied,
            Some("give the user the rights Read, Describe and, to write, Write and Create on the topic"),
        ),
        Code::GroupAuthorizationFailed => (
            ErrorKind::Denied,
            Some("give the user the right Read on groups that begin with `vitrina`, after the prefix"),
        ),
        Code::TransactionalIdAuthorizationFailed => (
            ErrorKind::Denied,
            Some(
                "give the user the rights Write and Describe on transactional ids that begin with `vitrina`, after the prefix",
            ),
        ),
        Code::ClusterAuthorizationFailed | Code::SaslAuthenticationFailed | Code::Authentication => {
            (ErrorKind::Denied, None)
        }
        // Said of what is there, too, while a broker starts, ends or hands over: that something is gone is told by whoever has asked for it (`topic.rs`).
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => (
            ErrorKind::Unreachable,
            Some("check that the topic is there, and that all of the cluster's brokers are up"),
        ),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => (
            ErrorKind::Limit,
            Some(
                "a row is larger than the topic takes, or than 30 MiB: raise the topic's `max.message.bytes` (the brokers' `message.max.bytes` where it has none), or leave the column out",
            ),
        ),
        Code::ProducerFenced | Code::Fenced | Code::InvalidProducerEpoch => (ErrorKind::Conflict, None),
        Code::InvalidProducerIdMapping | Code::UnknownProducerId => (ErrorKind::Conflict, None),
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut | Code::TimedOutQueue => {
            (ErrorKind::Timeout, None)
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            (ErrorKind::Unreachable, Some("too few replicas are in sync: see the cluster's brokers"))
        }
        Code::KafkaStorageError => (
            ErrorKind::Full,
            Some(
                "a broker cannot write to its disk: free some space there, and see its log; nothing was lost",
            ),
        ),
        Code::InvalidReplicationFactor => {
            (ErrorKind::Unsupported, Some("the cluster has fewer brokers than `replication` says"))
        }
        Code::InvalidTopic | Code::InvalidPartitions | Code::InvalidConfig | Code::PolicyViolation => {
            (ErrorKind::Unsupported, None)
        }
        // The last one is of a topic that keeps messages as brokers before 0.11 did.
        Code::UnsupportedVersion | Code::UnsupportedFeature | Code::UnsupportedForMessageFormat => (
            ErrorKind::Unsupported,
            Some(
                "brokers of Kafka 0.11 or later are needed, whose topics keep messages in its format or a later one",
            ),
        ),
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => (ErrorKind::Corrupt, None),
        _ => (ErrorKind::Unreachable, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told() {
        let error = failed(
            "cannot write into topic \"t\"",
            &KafkaError::MessageProduction(Code::KafkaStorageError),
            None,
        );
        assert_eq!(error.kind, ErrorKind::Full);
        assert!(
            error.kind.policy().retry && error.advice().contains("free some space"),
            "{}",
            error.advice()
        );
    }

    /// Trying again makes no broker younger.
    #[test]
    fn a_broker_that_is_too_old_is_told() {
        for code in [Code::UnsupportedVersion, Code::UnsupportedFeature, Code::UnsupportedForMessageFormat] {
            let error = failed("cannot write into topic \"t\"", &KafkaError::Global(code), None);
            assert_eq!(error.kind, ErrorKind::Unsupported);
            let told = error.advice();
            assert!(!error.kind.policy().retry && told.contains("Kafka 0.11 or later"), "{told}");
        }
    }

    /// None of them says that anything is gone.
    #[test]
    fn what_brokers_say_while_they_start_and_end_is_tried_again() {
        let said = [
            Code::UnknownTopicOrPartition,
            Code::UnknownTopic,
            Code::UnknownPartition,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::BrokerNotAvailable,
            Code::OffsetNotAvailable,
            Code::OffsetOutOfRange,
            Code::AllBrokersDown,
            Code::OperationTimedOut,
        ];
        for code in said {
            assert!(of_code(code).0.policy().retry, "{code:?}");
        }
    }
}

//! Reason codes (5.0, section 2.4) and the return codes of 3.1.1 they fall back to.

/// A reason code. Below 0x80 it says that the request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)+) => {
        impl Reason {
            $($(#[$doc])* pub const $name: Self = Self($code);)+

            /// The standard's name of the code, in lower case.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($code => $text,)+
                    0x01 => "granted qos 1",
                    0x02 => "granted qos 2",
                    _ => "reserved",
                }
            }
        }
    };
}

reasons! {
    /// Done; granted QoS 0; normal disconnection.
    SUCCESS = 0x00, "success";
    /// Disconnecting, and the will is to be published.
    DISCONNECT_WITH_WILL = 0x04, "disconnect with will message";
    /// Accepted, but nobody subscribes.
    NO_MATCHING_SUBSCRIBERS = 0x10, "no matching subscribers";
    /// There was no such subscription.
    NO_SUBSCRIPTION_EXISTED = 0x11, "no subscription existed";
    /// Extended authentication goes on.
    CONTINUE_AUTHENTICATION = 0x18, "continue authentication";
    /// The client authenticates again.
    RE_AUTHENTICATE = 0x19, "re-authenticate";
    /// No better word.
    UNSPECIFIED = 0x80, "unspecified error";
    /// The bytes do not follow the standard.
    MALFORMED_PACKET = 0x81, "malformed packet";
    /// The packet came out of order or says what it may not.
    PROTOCOL_ERROR = 0x82, "protocol error";
    /// Valid, but not accepted here.
    IMPLEMENTATION_SPECIFIC = 0x83, "implementation specific error";
    /// This protocol level is not spoken here.
    UNSUPPORTED_PROTOCOL_VERSION = 0x84, "unsupported protocol version";
    /// The client identifier is not allowed.
    CLIENT_IDENTIFIER_NOT_VALID = 0x85, "client identifier not valid";
    /// Wrong name or secret.
    BAD_USER_NAME_OR_PASSWORD = 0x86, "bad user name or password";
    /// Known, but may not.
    NOT_AUTHORIZED = 0x87, "not authorized";
    /// The server cannot serve now.
    SERVER_UNAVAILABLE = 0x88, "server unavailable";
    /// The server has too much to do.
    SERVER_BUSY = 0x89, "server busy";
    /// Banned by an operator.
    BANNED = 0x8A, "banned";
    /// The server is going down.
    SERVER_SHUTTING_DOWN = 0x8B, "server shutting down";
    /// This authentication method is not offered.
    BAD_AUTHENTICATION_METHOD = 0x8C, "bad authentication method";
    /// Silent for one and a half keep-alive intervals.
    KEEP_ALIVE_TIMEOUT = 0x8D, "keep alive timeout";
    /// Another connection uses the same client identifier.
    SESSION_TAKEN_OVER = 0x8E, "session taken over";
    /// Well formed, but not accepted here.
    TOPIC_FILTER_INVALID = 0x8F, "topic filter invalid";
    /// Well formed, but not accepted here.
    TOPIC_NAME_INVALID = 0x90, "topic name invalid";
    /// Already in use.
    PACKET_IDENTIFIER_IN_USE = 0x91, "packet identifier in use";
    /// Not in use.
    PACKET_IDENTIFIER_NOT_FOUND = 0x92, "packet identifier not found";
    /// More unacknowledged messages than allowed.
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "receive maximum exceeded";
    /// Alias 0, above the maximum, or unknown.
    TOPIC_ALIAS_INVALID = 0x94, "topic alias invalid";
    /// Larger than the maximum packet size.
    PACKET_TOO_LARGE = 0x95, "packet too large";
    /// Too fast.
    MESSAGE_RATE_TOO_HIGH = 0x96, "message rate too high";
    /// A limit of the server or of an operator is reached.
    QUOTA_EXCEEDED = 0x97, "quota exceeded";
    /// An operator closed the connection.
    ADMINISTRATIVE_ACTION = 0x98, "administrative action";
    /// The payload is not what its indicator says.
    PAYLOAD_FORMAT_INVALID = 0x99, "payload format invalid";
    /// Retained messages are not kept here.
    RETAIN_NOT_SUPPORTED = 0x9A, "retain not supported";
    /// This quality of service is not offered.
    QOS_NOT_SUPPORTED = 0x9B, "qos not supported";
    /// Use another server for now.
    USE_ANOTHER_SERVER = 0x9C, "use another server";
    /// Use another server from now on.
    SERVER_MOVED = 0x9D, "server moved";
    /// Shared subscriptions are not offered.
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E, "shared subscriptions not supported";
    /// Too many connections in a short time.
    CONNECTION_RATE_EXCEEDED = 0x9F, "connection rate exceeded";
    /// Connected for longer than allowed.
    MAXIMUM_CONNECT_TIME = 0xA0, "maximum connect time";
    /// Subscription identifiers are not offered.
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1, "subscription identifiers not supported";
    /// Wildcards in filters are not offered.
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2, "wildcard subscriptions not supported";
}

impl Reason {
    /// Whether the code refuses or ends something (section 2.4).
    #[must_use]
    pub fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The CONNACK return code of 3.1.1 nearest to this reason (3.1.1, table 3.1).
    #[must_use]
    pub fn connect_return_code(self) -> u8 {
        match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_PROTOCOL_VERSION => 1,
            Self::CLIENT_IDENTIFIER_NOT_VALID => 2,
            Self::BAD_USER_NAME_OR_PASSWORD => 4,
            Self::NOT_AUTHORIZED | Self::BANNED | Self::BAD_AUTHENTICATION_METHOD => 5,
            _ => 3,
        }
    }

    /// Whether a PUBACK or PUBREC may carry it (sections 3.4.2.1 and 3.5.2.1).
    pub(super) fn answers_publish(self) -> bool {
        matches!(self.0, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
    }

    /// Whether a PUBREL or PUBCOMP may carry it (sections 3.6.2.1 and 3.7.2.1).
    pub(super) fn answers_release(self) -> bool {
        matches!(self.0, 0x00 | 0x92)
    }

    /// Whether a CONNACK may carry it (section 3.2.2.2).
    pub(crate) fn answers_connect(self) -> bool {
        matches!(self.0, 0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
    }

    /// Whether a SUBACK may carry it (section 3.9.3).
    pub(super) fn answers_subscribe(self) -> bool {
        matches!(self.0, 0..=2 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2)
    }

    /// Whether an UNSUBACK may carry it (section 3.11.3).
    pub(super) fn answers_unsubscribe(self) -> bool {
        matches!(self.0, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91)
    }

    /// Whether a DISCONNECT may carry it, from either side (section 3.14.2.1).
    pub(super) fn ends_connection(self) -> bool {
        matches!(self.0, 0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2)
    }

    /// Whether an AUTH may carry it (section 3.15.2.1).
    pub(super) fn authenticates(self) -> bool {
        matches!(self.0, 0x00 | 0x18 | 0x19)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{:02X} {}", self.0, self.name())
    }
}

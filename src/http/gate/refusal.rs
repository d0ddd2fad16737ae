//! What the gate refuses by itself: one table of codes, statuses and sentences.
//!
//! The router never sees these requests. A head that cannot be read tells no language, so the sentences are bilingual.

/// Why the gate refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request line is none.
    RequestLine,
    /// A line does not end with CR LF.
    LineEnd,
    /// A control character, NUL or a byte beyond ASCII.
    ForbiddenByte,
    /// A field that goes on in the next line.
    FoldedField,
    /// A field that is none, or of which only one may be there.
    Field,
    /// No Host, or two.
    Host,
    /// A target that is no path.
    Target,
    /// A Content-Length that is no number.
    Length,
    /// Two lengths.
    TwoLengths,
    /// A body where there may be none.
    Body,
    /// No Content-Length.
    NoLength,
    /// A longer body than allowed.
    BodyTooLarge,
    /// A longer target than allowed.
    TargetTooLong,
    /// An expectation other than 100-continue.
    Expectation,
    /// A longer head than allowed.
    HeadTooLarge,
    /// More fields than allowed.
    TooManyFields,
    /// A method that no resource knows.
    Method,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    Version,
    /// HTTP without TLS where TLS is spoken.
    TlsExpected,
    /// The head did not come in time.
    HeadTooSlow,
    /// The body did not come in time.
    BodyTooSlow,
    /// One peer holds too much memory.
    PeerMemory,
    /// One peer holds too many connections.
    PeerConnections,
    /// All connections together hold too much memory.
    Memory,
    /// All connections are taken.
    Connections,
    /// The router has too many requests.
    RouterBusy,
    /// The router gave no answer, or one that is none.
    RouterFailed,
    /// The router gave no answer in time.
    RouterTooSlow,
}

/// A row of the table.
struct Row {
    code: &'static str,
    status: u16,
    phrase: &'static str,
    english: &'static str,
    chinese: &'static str,
}

const fn row(status: u16, phrase: &'static str, code: &'static str, english: &'static str, chinese: &'static str) -> Row {
    Row { code, status, phrase, english, chinese }
}

impl Refusal {
    const fn row(self) -> Row {
        const BAD: &str = "Bad Request";
        const BUSY: &str = "Service Unavailable";
        match self {
            Self::RequestLine => {
                row(400, BAD, "request_line", "The first line is no request line of HTTP/1.1.", "第一行不是 HTTP/1.1 请求行。")
            }
            Self::LineEnd => row(400, BAD, "line_end", "Every line of a head ends with CR LF.", "请求头每行须以 CR LF 结尾。"),
            Self::ForbiddenByte => row(
                400,
                BAD,
                "forbidden_byte",
                "A head holds visible ASCII, spaces and tabs only; encode other characters (percent-encoding).",
                "请求头只能含可见 ASCII、空格和制表符；其他字符请用百分号编码。",
            ),
            Self::FoldedField => row(
                400,
                BAD,
                "folded_field",
                "A field stands on one line; send no folded fields.",
                "每个字段须在一行内，不得折行。",
            ),
            Self::Field => row(
                400,
                BAD,
                "field",
                "A field is a name, a colon without space before it, and a value; Connection names no field of the message itself.",
                "字段格式为“名称:值”，冒号前无空格；Connection 不得列出报文本身的字段。",
            ),
            Self::Host => row(400, BAD, "host", "Send exactly one Host.", "请且仅请发送一个 Host。"),
            Self::Target => row(
                400,
                BAD,
                "target",
                "The target is a path that begins with a slash; this is no proxy.",
                "请求目标须为以斜杠开头的路径；本机不是代理。",
            ),
            Self::Length => row(
                400,
                BAD,
                "content_length",
                "Content-Length is a number in decimal digits.",
                "Content-Length 须为十进制数字。",
            ),
            Self::TwoLengths => row(
                400,
                BAD,
                "two_lengths",
                "Send one Content-Length and no Transfer-Encoding.",
                "只发送一个 Content-Length，不要发送 Transfer-Encoding。",
            ),
            Self::Body => row(400, BAD, "body", "A request of this method has no body.", "此方法的请求不带正文。"),
            Self::NoLength => row(
                411,
                "Length Required",
                "length_required",
                "Send the body with Content-Length, not in chunks (curl: --data-binary @FILE).",
                "请用 Content-Length 发送正文，不要分块（curl：--data-binary @文件）。",
            ),
            Self::BodyTooLarge => row(
                413,
                "Content Too Large",
                "body_too_large",
                "The body is larger than this box accepts; send one film a request, or raise the limit in its configuration.",
                "正文超过本机上限；请每次只发一张片，或在配置中提高上限。",
            ),
            Self::TargetTooLong => {
                row(414, "URI Too Long", "target_too_long", "The target is longer than 8,000 bytes.", "请求目标超过 8000 字节。")
            }
            Self::Expectation => row(
                417,
                "Expectation Failed",
                "expectation",
                "The only expectation known is 100-continue.",
                "仅支持 Expect: 100-continue。",
            ),
            Self::HeadTooLarge => row(
                431,
                "Request Header Fields Too Large",
                "head_too_large",
                "The head is longer than 16 KiB.",
                "请求头超过 16 KiB。",
            ),
            Self::TooManyFields => row(
                431,
                "Request Header Fields Too Large",
                "too_many_fields",
                "The head has more than 64 fields.",
                "请求头超过 64 个字段。",
            ),
            Self::Method => row(501, "Not Implemented", "method", "The method is not known here.", "不支持此方法。"),
            Self::Version => row(
                505,
                "HTTP Version Not Supported",
                "version",
                "HTTP/1.1 and HTTP/1.0 are spoken here.",
                "仅支持 HTTP/1.1 和 HTTP/1.0。",
            ),
            Self::TlsExpected => row(
                400,
                BAD,
                "tls_expected",
                "This address speaks TLS: use https:// instead of http://.",
                "此地址使用 TLS：请用 https:// 代替 http://。",
            ),
            Self::HeadTooSlow => {
                row(408, "Request Timeout", "head_too_slow", "The head did not come in time.", "请求头未在规定时间内到达。")
            }
            Self::BodyTooSlow => row(
                408,
                "Request Timeout",
                "body_too_slow",
                "The body came too slowly; send it again over a better line.",
                "正文传输过慢；请改善网络后重试。",
            ),
            Self::PeerMemory => row(
                429,
                "Too Many Requests",
                "peer_memory",
                "Too much from this address at once; send fewer films at a time.",
                "此地址同时发送过多；请减少同时发送的胸片。",
            ),
            Self::PeerConnections => row(
                429,
                "Too Many Requests",
                "peer_connections",
                "Too many connections from this address; close some, or use them again.",
                "此地址连接过多；请关闭或复用连接。",
            ),
            Self::Memory => {
                row(503, BUSY, "memory", "Too many films at once; send it again.", "同时收到的胸片过多，请稍后重发。")
            }
            Self::Connections => row(503, BUSY, "connections", "All connections are taken; try again.", "连接已满，请稍后重试。"),
            Self::RouterBusy => row(503, BUSY, "busy", "All readers are busy; send it again.", "读片队列已满，请稍后重发。"),
            Self::RouterFailed => row(
                502,
                "Bad Gateway",
                "no_answer",
                "The request got no answer; the log of the service says why. Send it again.",
                "请求未得到应答；原因见服务日志。请重试。",
            ),
            Self::RouterTooSlow => row(
                504,
                "Gateway Timeout",
                "answer_too_slow",
                "The answer took too long. The same film sent again gets its reading if that was made meanwhile.",
                "应答超时。若期间已读完，重发同一张片即可取得结果。",
            ),
        }
    }

    /// The stable code, also the counter's label.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The whole answer (RFC 9457); the connection ends behind it.
    pub fn answer(self) -> Vec<u8> {
        let Row { code, status, phrase, english, chinese } = self.row();
        let body = format!(
            "{{\"type\":\"urn:chexbox:problem:{code}\",\"title\":\"{phrase}\",\"status\":{status},\
             \"detail\":\"{english} / {chinese}\",\"code\":\"{code}\"}}\n"
        );
        let later = if matches!(status, 429 | 503) { "Retry-After: 1\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{later}Connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_problem_with_its_length() {
        for refusal in [Refusal::LineEnd, Refusal::NoLength, Refusal::Memory, Refusal::RouterTooSlow, Refusal::Field] {
            let answer = String::from_utf8(refusal.answer()).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", refusal.status())));
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
            assert_eq!(head.contains("Retry-After"), matches!(refusal.status(), 429 | 503));
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["code"], refusal.code());
            assert_eq!(problem["status"], refusal.status());
        }
    }
}

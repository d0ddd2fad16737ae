use super::*;

const POST: &[u8] = b"POST /v1/readings HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

fn conversation() -> Conversation {
    Conversation::new(Arc::new(GateLimits::default()), IpAddr::from([192, 0, 2, 1]), Scheme::Http, 0)
}

fn drained_client(talk: &mut Conversation) -> String {
    let mut text = Vec::new();
    while !talk.for_client().is_empty() {
        text.extend_from_slice(talk.for_client());
        talk.client_took(talk.for_client().len());
    }
    String::from_utf8(text).unwrap()
}

fn drained_router(talk: &mut Conversation) -> String {
    let mut text = Vec::new();
    while !talk.for_router().is_empty() {
        text.extend_from_slice(talk.for_router());
        talk.router_took(talk.for_router().len());
    }
    String::from_utf8(text).unwrap()
}

/// Sends `bytes` in two pieces and plays the router; what router and client got.
fn played(bytes: &[u8], split: usize, answer_split: usize) -> (Vec<String>, String) {
    let mut talk = conversation();
    let (mut asked, mut got) = (Vec::new(), String::new());
    for piece in [&bytes[..split], &bytes[split..]] {
        talk.client_sent(piece, 1);
        while talk.is_whole() {
            talk.exchange_begins(1);
            asked.push(drained_router(&mut talk));
            talk.router_sent(&ANSWER[..answer_split], 1);
            talk.router_sent(&ANSWER[answer_split..], 1);
            assert!(!talk.is_exchanging());
            got += &drained_client(&mut talk);
            talk.client_has_all(1);
        }
        got += &drained_client(&mut talk);
    }
    (asked, got)
}

#[test]
fn a_request_is_handed_on_whole_whatever_the_pieces() {
    let (asked, got) = played(POST, 0, 0);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].ends_with("content-length: 5\r\nconnection: close\r\n\r\nhello"), "{asked:?}");
    assert_eq!(got, TAKEN);
    for split in 0..=POST.len() {
        assert_eq!(played(POST, split, 0), (asked.clone(), got.clone()), "split at {split}");
    }
    for split in 0..=ANSWER.len() {
        assert_eq!(played(POST, 0, split), (asked.clone(), got.clone()), "answer split at {split}");
    }
}

#[test]
fn requests_sent_at_once_are_answered_one_after_another() {
    let both = [POST, GET].concat();
    for split in 0..both.len() {
        let mut talk = conversation();
        talk.client_sent(&both[..split], 1);
        let late = if talk.wants_client() {
            talk.client_sent(&both[split..], 1);
            &[][..]
        } else {
            &both[split..]
        };
        assert!(talk.is_whole() && !talk.wants_client(), "split at {split}");
        talk.exchange_begins(1);
        assert!(drained_router(&mut talk).starts_with("POST"));
        talk.router_sent(ANSWER, 1);
        assert!(!talk.wants_client(), "the first answer is not taken");
        assert_eq!(drained_client(&mut talk), TAKEN);
        talk.client_has_all(2);
        if !late.is_empty() {
            talk.client_sent(late, 2);
        }
        talk.exchange_begins(2);
        assert!(drained_router(&mut talk).starts_with("GET / "), "split at {split}");
    }
}

#[test]
fn a_refused_head_is_answered_and_nothing_behind_it_is_read() {
    let mut talk = conversation();
    talk.client_sent(b"GET / HTTP/1.1\nHost: a\n\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n", 1);
    assert!(!talk.is_whole() && !talk.wants_client());
    assert!(drained_client(&mut talk).starts_with("HTTP/1.1 400 "));
    talk.client_has_all(2);
    assert!(talk.is_lingering() && talk.wants_client());
    talk.client_sent(GET, 3);
    assert!(!talk.is_whole());
    assert_eq!(talk.held(), 0);
    talk.tick(2 + LINGER_MS);
    assert_eq!(talk.ending(), Some(Ending::Done));
    assert_eq!(talk.take_refusals(), [Refusal::LineEnd]);
}

#[test]
fn a_client_that_waits_is_told_to_go_on_and_one_that_does_not_is_not() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut talk = conversation();
    talk.client_sent(head, 1);
    assert_eq!(drained_client(&mut talk), "HTTP/1.1 100 Continue\r\n\r\n");
    talk.client_has_all(1);
    talk.client_sent(b"hello", 2);
    assert!(talk.is_whole());
    let mut talk = conversation();
    talk.client_sent(&[&head[..], b"hello"].concat(), 1);
    assert!(talk.is_whole() && talk.for_client().is_empty());
}

#[test]
fn a_body_too_large_is_refused_from_the_head() {
    let mut talk = conversation();
    talk.client_sent(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 67108865\r\n\r\n", 1);
    assert!(drained_client(&mut talk).starts_with("HTTP/1.1 413 "));
}

#[test]
fn deadlines_hold_to_the_millisecond() {
    let limits = GateLimits::default();
    let mut talk = conversation();
    talk.client_sent(&GET[..20], 5);
    talk.tick(limits.head_ms - 1);
    assert_eq!(talk.take_refusals(), []);
    talk.tick(limits.head_ms);
    assert_eq!(talk.take_refusals(), [Refusal::HeadTooSlow]);

    let mut talk = conversation();
    talk.client_sent(&POST[..POST.len() - 1], 1_000);
    talk.tick(1_000 + limits.rate_grace_ms - 1);
    assert_eq!(talk.take_refusals(), []);
    talk.tick(1_000 + limits.rate_grace_ms);
    assert_eq!(talk.take_refusals(), [Refusal::BodyTooSlow]);

    let mut talk = conversation();
    talk.client_sent(GET, 0);
    talk.tick(LINE_WAIT_MS - 1);
    assert!(talk.is_whole());
    talk.exchange_begins(LINE_WAIT_MS - 1);
    talk.tick(LINE_WAIT_MS - 1 + limits.answer_ms);
    assert_eq!(talk.take_refusals(), [Refusal::RouterTooSlow]);
    assert!(drained_client(&mut talk).starts_with("HTTP/1.1 504 "));
}

#[test]
fn idle_connections_and_slow_readers_end() {
    let limits = GateLimits::default();
    let answered = || {
        let mut talk = conversation();
        talk.client_sent(GET, 0);
        talk.exchange_begins(0);
        talk.router_sent(ANSWER, 0);
        talk
    };
    let mut talk = answered();
    talk.tick(limits.rate_grace_ms);
    assert_eq!(talk.ending(), Some(Ending::ReaderTooSlow));
    assert_eq!(talk.held(), 0);
    let mut talk = answered();
    drained_client(&mut talk);
    talk.client_has_all(10);
    talk.tick(10 + limits.idle_ms - 1);
    assert_eq!(talk.ending(), None);
    talk.tick(10 + limits.idle_ms);
    assert_eq!(talk.ending(), Some(Ending::Idle));
}

#[test]
fn an_answer_cut_short_ends_the_connection_and_none_is_a_502() {
    for sent in 0..=ANSWER.len() {
        let mut talk = conversation();
        talk.client_sent(GET, 0);
        talk.exchange_begins(0);
        talk.router_sent(&ANSWER[..sent], 0);
        talk.router_ended(0);
        if sent < ANSWER.len() - 2 {
            assert_eq!(talk.take_refusals(), [Refusal::RouterFailed], "{sent} bytes");
        } else if sent < ANSWER.len() {
            assert_eq!(talk.ending(), Some(Ending::AnswerCut), "{sent} bytes");
        } else {
            assert_eq!((talk.ending(), drained_client(&mut talk)), (None, TAKEN.to_owned()));
        }
    }
}

#[test]
fn what_the_router_works_on_never_gives_way() {
    let mut talk = conversation();
    assert_eq!(talk.rate(0, 500), Some(0));
    assert_eq!(talk.rate(501, 500), None);
    talk.client_sent(&POST[..40], 500);
    assert_eq!(talk.rate(0, 500), Some(80));
    talk.client_sent(&POST[40..], 500);
    assert_eq!(talk.rate(0, 9_000), None);
    talk.exchange_begins(500);
    assert_eq!(talk.rate(0, 9_000), None);
}

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let mut talk = conversation();
    talk.client_sent(GET, 0);
    talk.client_ended();
    talk.exchange_begins(0);
    talk.router_sent(ANSWER, 0);
    assert!(drained_client(&mut talk).ends_with("Connection: close\r\n\r\nok"));
    talk.client_has_all(0);
    assert!(talk.is_lingering());
    let mut talk = conversation();
    talk.client_sent(&POST[..40], 0);
    talk.client_ended();
    assert_eq!(talk.ending(), Some(Ending::Done));
}

#[test]
fn a_drain_finishes_what_has_begun() {
    let mut talk = conversation();
    talk.finish();
    assert_eq!(talk.ending(), Some(Ending::Done));
    let mut talk = conversation();
    talk.client_sent(GET, 0);
    talk.finish();
    talk.exchange_begins(0);
    talk.router_sent(ANSWER, 0);
    assert!(drained_client(&mut talk).contains("Connection: close"));
}

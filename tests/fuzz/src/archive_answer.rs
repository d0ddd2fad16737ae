//! Answers of archives to STOW-RS: what an answer says, it says whatever follows and however it comes in pieces, and an
//! object is held to be stored only on a status of success without a failure beside it.

use crate::small::Target;
use chexbox::dicom_net::send::{Kept, SendFault};
use chexbox::dicom_net::stow::answer;

/// The target.
pub const TARGET: Target = Target { name: "archive_answer", property: an_answer_is_taken_at_its_word, draw: corpus };

const OURS: &str = "1.2";

fn corpus() -> Vec<(String, Vec<u8>)> {
    let failed = |uid: &str, reason: u16| {
        format!(
            r#"{{"00081198":{{"vr":"SQ","Value":[{{"00081155":{{"vr":"UI","Value":["{uid}"]}},"00081197":{{"vr":"US","Value":[{reason}]}}}}]}}}}"#
        )
    };
    let stored = r#"{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]}}]}}"#;
    let sized = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let files = [
        ("stored", sized("200 OK", stored)),
        ("stored_in_xml", sized("200 OK", "<NativeDicomModel><DicomAttribute tag=\"00081199\"/></NativeDicomModel>")),
        ("failed_in_xml", sized("202 Accepted", "<NativeDicomModel><DicomAttribute tag=\"00081198\"/></NativeDicomModel>")),
        ("refused", sized("409 Conflict", &failed("1.2", 0xA900))),
        ("full", sized("409 Conflict", &failed("1.2", 0xA700))),
        ("there_before", sized("409 Conflict", &failed("1.2", 0x0111))),
        ("another_failed", sized("202 Accepted", &failed("9.9", 0xC000))),
        ("in_a_list", sized("202 Accepted", &format!("[{}]", failed("1.2", 0xC000)))),
        ("continued", format!("HTTP/1.1 100 Continue\r\n\r\n{}", sized("200 OK", "{}"))),
        ("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n".to_owned()),
        ("open", "HTTP/1.0 200 OK\r\n\r\n".to_owned() + stored),
        ("away", sized("503 Service Unavailable", "")),
        ("moved", "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n".to_owned()),
        ("another_protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
    ];
    files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into()
}

/// As text, so that two can be compared.
fn said(bytes: &[u8], closed: bool) -> Result<Option<Result<Kept, String>>, String> {
    let text = |e: SendFault| e.to_string();
    answer(bytes, closed, OURS).map(|whole| whole.map(|outcome| outcome.map_err(text))).map_err(text)
}

fn an_answer_is_taken_at_its_word(bytes: &[u8]) -> &'static str {
    let whole = said(bytes, false);
    if let Ok(Some(outcome)) = &whole {
        assert_eq!(said(bytes, true), whole, "the end changes what was whole");
        let more = [bytes, b"\r\nHTTP/1.1 500 x\r\n\r\n"].concat();
        assert_eq!(said(&more, false), whole, "what follows changes what was whole");
        if outcome.is_ok() {
            let success = [" 200", " 202", " 409"].iter().any(|code| bytes.windows(4).any(|w| w == code.as_bytes()));
            assert!(success, "stored without a status that says so");
        }
    }
    for cut in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
        if let Ok(Some(early)) = said(&bytes[..cut], false) {
            assert_eq!(whole, Ok(Some(early)), "the rest changes what was whole");
        }
    }
    match said(bytes, true) {
        Ok(Some(Ok(_))) => "kept",
        Ok(Some(Err(_))) => "not kept",
        Ok(None) => "not whole",
        Err(_) => "no answer",
    }
}

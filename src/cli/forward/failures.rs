//! Why something was not sent, in plain words and with what to do. What the store keeps of it is a word and a detail
//! (`status: A900`), so that it names no patient and can be said in the language of whoever asks.

use chexbox::lang::Lang;

/// The sentence for what the store keeps.
pub fn words(kept: &str, lang: Lang) -> String {
    let (kind, detail) = kept.split_once(": ").unwrap_or((kept, ""));
    let (en, zh) = match kind {
        "address" => {
            ("its host's name has no address: check `to`, or write the number", "无法解析主机名：请检查 to，或改用 IP 地址")
        }
        "connect" => (
            "nothing answers there: is the archive running, is the port right, does a firewall stand between?",
            "无法连接：请检查归档系统是否运行、端口是否正确、防火墙是否放行",
        ),
        "tls" => (
            "no secure connection: `ca` must hold the archive's certificate or that of who signed it, and `to` the host's name in it",
            "无法建立安全连接：ca 应为归档系统的证书或其签发者的证书，to 应使用证书中的主机名",
        ),
        "association" => (
            "it gives us no association: does it know our AE title and address, is its own title right in `to`?",
            "关联被拒绝：归档系统是否登记了本机的 AE 标题和地址？to 中的 AE 标题是否正确？",
        ),
        "class" => (
            "it does not take objects of this class: allow the class there, or take the kind out of `objects`",
            "归档系统不接收此类对象：请在归档系统中允许该 SOP 类，或从 objects 中去掉",
        ),
        "broken" => ("the transfer broke off: the archive's log may say why", "传输中断：请查看归档系统日志"),
        "status" => of_status(detail),
        "http" => of_http(detail),
        "object" => ("the object in the outbox cannot be read", "待发送对象无法读取"),
        _ => ("a fault of chexbox", "chexbox 内部错误"),
    };
    let sentence = lang.pick(en, zh);
    match (detail, lang) {
        ("", _) => sentence.to_owned(),
        (_, Lang::En) => format!("{sentence} ({kind}: {detail})"),
        (_, Lang::Zh) => format!("{sentence}（{kind}: {detail}）"),
    }
}

/// PS3.4 table B.2-1, PS3.7 Annex C.
fn of_status(detail: &str) -> (&'static str, &'static str) {
    let status = detail.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or_default();
    match status {
        0xA700..=0xA7FF | 0x0213 => ("it is out of resources, for example of disk", "归档系统资源不足（例如磁盘空间）"),
        0xA900..=0xA9FF => ("it finds that the object does not match its class", "归档系统认为对象与其 SOP 类不符"),
        0xC000..=0xCFFF => ("it cannot understand the object: its log says why", "归档系统无法解析该对象：请查看其日志"),
        0x0122 => (
            "it does not support this class: allow it there, or take the kind out of `objects`",
            "归档系统不支持此 SOP 类：请在归档系统中允许，或从 objects 中去掉",
        ),
        0x0124 => ("it does not allow us to store: give our AE title the right there", "归档系统未授权：请为本机 AE 标题授权"),
        _ => (
            "it answered with a failure: its conformance statement and its log say which",
            "归档系统返回失败：请查看其一致性声明和日志",
        ),
    }
}

fn of_http(detail: &str) -> (&'static str, &'static str) {
    match detail.parse::<u16>().unwrap_or_default() {
        401 | 403 => ("it does not let us in: check authorization-file", "归档系统拒绝访问：请检查 authorization-file"),
        300..=399 | 404 | 405 | 501 => {
            ("there is no STOW-RS at this address: check the path in `to`", "该地址没有 STOW-RS 服务：请检查 to 中的路径")
        }
        413 => ("the object is too large for it: raise its limit", "对象超过归档系统的上限：请提高上限"),
        408 | 429 | 500..=599 => ("it has a fault, or too much to do", "归档系统故障或繁忙"),
        _ => ("it does not want the object: its log may say why", "归档系统拒绝该对象：请查看其日志"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_has_a_sentence_with_its_detail() {
        for kept in [
            "address: x",
            "connect: Connection refused (os error 111)",
            "tls: x",
            "association: x",
            "class: 1.2",
            "broken: x",
            "status: A700",
            "status: A900 (0008,0018)",
            "status: C000",
            "status: 0122",
            "http: 401",
            "http: 404",
            "http: 413",
            "http: 500",
            "http: 400",
            "object: x",
        ] {
            let (en, zh) = (words(kept, Lang::En), words(kept, Lang::Zh));
            assert!(en.contains(kept) && zh.contains(kept) && en != zh, "{en} {zh}");
            assert!(!en.contains("fault of chexbox"), "{kept}");
        }
        assert!(words("", Lang::En).contains("fault of chexbox"));
    }
}

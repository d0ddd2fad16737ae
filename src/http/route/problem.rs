//! Errors as RFC 9457 has them: a stable type, a status, a sentence and what to do, in both languages.
//!
//! A refused film is one of them: its code is the refusal's. Nothing here holds a part of a patient's identity, or says why
//! a token was not accepted.

use super::answer::Answer;
use crate::http::desk::Fault;
use crate::lang::Lang;
use crate::radiograph::Refusal;
use serde_json::{Map, Value, json};

/// Content type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a client may try again, where nothing better is known: a reading takes a fraction of one.
const RETRY_AFTER_S: &str = "1";

/// Why a request has no ordinary answer. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The query does not say what can be meant.
    BadQuery,
    /// The body is not what the content type says.
    BadBody,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// A header does not say what can be meant.
    BadHeader,
    /// No such address.
    NoSuchAddress,
    /// No such method here.
    NoSuchMethod,
    /// No such reading.
    NoSuchReading,
    /// The reading has no such finding, or no heat map of it.
    NoSuchHeatMap,
    /// No such model.
    NoSuchModel,
    /// The film is not kept.
    FilmNotKept,
    /// The film was refused: there are no findings to report.
    NothingToReport,
    /// Neither the page nor one of its files.
    NoSuchPage,
    /// Asked without a token under a name that is not this machine's, or by a page of another site.
    ForeignName,
    /// What [`Fault`] says.
    Of(Fault),
}

/// Code, status, title and remedy in English and Chinese.
type Line = (&'static str, u16, [&'static str; 2], [&'static str; 2]);

impl Code {
    /// Every code, for the document and tests.
    pub const ALL: [Self; 24] = [
        Self::BadQuery,
        Self::BadBody,
        Self::BodyTooLarge,
        Self::BadHeader,
        Self::NoSuchAddress,
        Self::NoSuchMethod,
        Self::NoSuchReading,
        Self::NoSuchHeatMap,
        Self::NoSuchModel,
        Self::FilmNotKept,
        Self::NothingToReport,
        Self::NoSuchPage,
        Self::ForeignName,
        Self::Of(Fault::NoToken),
        Self::Of(Fault::WrongToken),
        Self::Of(Fault::NotAllowed),
        Self::Of(Fault::TooManyFailures(60)),
        Self::Of(Fault::Busy),
        Self::Of(Fault::Stopping),
        Self::Of(Fault::KeyUsed),
        Self::Of(Fault::WrongCursor),
        Self::Of(Fault::StoreFull),
        Self::Of(Fault::StoreFailed),
        Self::Of(Fault::Internal),
    ];

    /// The code as clients know it.
    pub fn as_str(self) -> &'static str {
        self.line().0
    }

    /// Its HTTP status.
    pub fn status(self) -> u16 {
        self.line().1
    }

    fn line(self) -> Line {
        const ASK: [&str; 2] = ["see /openapi.json for what is allowed", "允许的写法见 /openapi.json"];
        const TOKEN: [&str; 2] = [
            "send a valid token as Authorization: Bearer TOKEN; the log of the service says what is wrong with this one",
            "请用 Authorization: Bearer 发送有效令牌；原因见服务日志",
        ];
        match self {
            Self::BadQuery => ("bad_query", 400, ["the query cannot be meant so", "查询参数有误"], ASK),
            Self::BadBody => ("bad_body", 400, ["the body is not what its content type says", "请求内容与其类型不符"], ASK),
            Self::BodyTooLarge => (
                "body_too_large",
                413,
                ["the body is larger than allowed", "请求内容过大"],
                ["send fewer films at a time", "请减少每次发送的胸片数"],
            ),
            Self::BadHeader => ("bad_header", 400, ["a header cannot be meant so", "请求头有误"], ASK),
            Self::NoSuchAddress => ("no_such_address", 404, ["there is nothing at this address", "该地址不存在"], ASK),
            Self::NoSuchMethod => ("no_such_method", 405, ["this address does not know the method", "该地址不支持此方法"], ASK),
            Self::NoSuchReading => (
                "no_such_reading",
                404,
                ["there is no such reading", "没有该阅片记录"],
                [
                    "it may have been removed, or its time may be over; send the film again",
                    "记录可能已删除或过期；请重新发送胸片",
                ],
            ),
            Self::NoSuchHeatMap => (
                "no_such_heat_map",
                404,
                ["there is no heat map of this finding", "该征象没有热图"],
                ["only trained findings of a film that was read have one", "只有已阅胸片中经过训练的征象才有热图"],
            ),
            Self::NoSuchModel => (
                "no_such_model",
                404,
                ["there is no such model", "没有该模型"],
                ["see /v1/models for those there are", "可用模型见 /v1/models"],
            ),
            Self::FilmNotKept => (
                "film_not_kept",
                404,
                ["the film is not kept", "胸片未保存"],
                [
                    "films are shown for a while after their reading; a site keeps them with keep-images = true",
                    "阅片后短时间内可查看；如需保存请设置 keep-images = true",
                ],
            ),
            Self::NothingToReport => (
                "nothing_to_report",
                404,
                ["the film was refused: there are no findings to report", "胸片被拒绝，没有可报告的征象"],
                ["the reading itself says why, and what to do", "原因与处理方法见该阅片记录"],
            ),
            Self::NoSuchPage => {
                ("no_such_page", 404, ["the page has no such file", "页面没有该文件"], ["open / instead", "请打开 /"])
            }
            Self::ForeignName => (
                "foreign_name",
                403,
                ["without tokens the service answers this machine alone", "未配置令牌时，服务仅供本机使用"],
                [
                    "open it as http://127.0.0.1 with its port; for other names configure a public key and tokens",
                    "请用 http://127.0.0.1 加端口打开；如需其他名称请配置公钥与令牌",
                ],
            ),
            Self::Of(Fault::NoToken) => (
                "token_needed",
                401,
                ["a token is needed", "需要访问令牌"],
                ["send it as Authorization: Bearer TOKEN", "请用 Authorization: Bearer 发送令牌"],
            ),
            Self::Of(Fault::WrongToken) => ("token_refused", 401, ["the token is not accepted", "访问令牌未被接受"], TOKEN),
            Self::Of(Fault::NotAllowed) => (
                "not_allowed",
                403,
                ["the token does not allow this", "该令牌无此权限"],
                ["use a token of scope admin", "请使用 admin 权限的令牌"],
            ),
            Self::Of(Fault::TooManyFailures(_)) => (
                "too_many_failures",
                429,
                ["too many failed sign-ins", "登录失败次数过多"],
                ["wait a minute and use a valid token", "请一分钟后使用有效令牌重试"],
            ),
            Self::Of(Fault::Busy) => (
                "busy",
                503,
                ["as many readings wait as may", "等待阅片的胸片已满"],
                ["send the film again after a moment", "请稍后重新发送"],
            ),
            Self::Of(Fault::Stopping) => (
                "stopping",
                503,
                ["the service is stopping", "服务正在停止"],
                ["send the request again after a moment", "请稍后重试"],
            ),
            Self::Of(Fault::KeyUsed) => (
                "idempotency_key_used",
                409,
                ["the idempotency key was used with another request", "幂等键已用于其他请求"],
                ["use a new key for each request", "每个请求请使用新的键"],
            ),
            Self::Of(Fault::WrongCursor) => (
                "wrong_cursor",
                400,
                ["the cursor is not one that a page gave", "翻页标记无效"],
                ["follow \"next\" of the page before, or leave the cursor out", "请使用上一页的 next，或不带该参数"],
            ),
            Self::Of(Fault::StoreFull) => (
                "store_full",
                507,
                ["the disk is full: the reading could not be kept", "磁盘已满：阅片结果无法保存"],
                ["free some space, then send the film again", "请清理磁盘后重新发送"],
            ),
            Self::Of(Fault::StoreFailed) => (
                "store_failed",
                500,
                ["the reading could not be kept", "阅片结果无法保存"],
                ["send the film again; tell support what the log says", "请重新发送；并将日志告知技术支持"],
            ),
            Self::Of(Fault::Internal) => (
                "internal_fault",
                500,
                ["the program failed", "程序出错"],
                ["have a radiologist read this film, and send the log to support", "请由放射科医生阅片，并将日志发送给技术支持"],
            ),
        }
    }
}

/// One problem: its code, and what exactly was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem.
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, headers: Vec::new() }
    }

    /// A fault of the program.
    pub fn internal() -> Self {
        Self::new(Code::Of(Fault::Internal))
    }

    /// The same with what exactly was found.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// As JSON.
    pub fn value(&self, lang: Lang) -> Map<String, Value> {
        let (code, status, title, remedy) = self.code.line();
        let said = |[en, zh]: [&'static str; 2]| lang.pick(en, zh);
        let detail = self.detail.as_deref().unwrap_or(said(title));
        object(code, status, said(title), detail, said(remedy))
    }

    /// As an answer.
    pub fn answer(&self, lang: Lang) -> Answer {
        let mut answer = Answer::json(self.code.status(), &self.value(lang)).with("Content-Type", PROBLEM_JSON);
        match self.code {
            Code::Of(Fault::Busy | Fault::Stopping) => answer = answer.with("Retry-After", RETRY_AFTER_S),
            Code::Of(Fault::TooManyFailures(seconds)) => answer = answer.with("Retry-After", seconds.to_string()),
            Code::Of(Fault::NoToken | Fault::WrongToken) => {
                answer = answer.with("WWW-Authenticate", "Bearer realm=\"chexbox\"");
            }
            _ => {}
        }
        for (name, value) in &self.headers {
            answer = answer.with(name, value.clone());
        }
        answer.with("Content-Language", lang.pick("en", "zh"))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(Code::Of(fault))
    }
}

/// Status of a film that was refused.
pub const REFUSED: u16 = 422;

/// A refused film as a problem, with the name of its record.
pub fn refused(refusal: &Refusal, reading: &str, lang: Lang) -> Map<String, Value> {
    let title = Refusal::new(refusal.code(), "").message(lang);
    let detail = refusal.message(lang);
    let mut object = object(refusal.code().as_str(), REFUSED, &title, &detail, refusal.remedy(lang));
    object.insert("message".to_owned(), json!(detail));
    object.insert("reading".to_owned(), json!(reading));
    object
}

fn object(code: &str, status: u16, title: &str, detail: &str, remedy: &str) -> Map<String, Value> {
    let pairs = [
        ("type", json!(format!("urn:chexbox:problem:{code}"))),
        ("title", json!(title)),
        ("status", json!(status)),
        ("detail", json!(detail)),
        ("code", json!(code)),
        ("remedy", json!(remedy)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_problem_has_a_code_of_its_own_and_both_languages() {
        let codes: HashSet<&str> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            let (_, status, title, remedy) = code.line();
            assert!((400..600).contains(&status), "{code:?}");
            assert!(title.iter().chain(&remedy).all(|t| !t.is_empty()), "{code:?}");
            assert!(!title[1].is_ascii() && title[0].is_ascii(), "{code:?}");
        }
    }

    #[test]
    fn who_is_to_come_back_is_told_when() {
        for fault in [Fault::Busy, Fault::Stopping, Fault::TooManyFailures(7)] {
            let answer = Problem::from(fault).answer(Lang::En);
            assert!(answer.headers.iter().any(|(n, _)| *n == "Retry-After"), "{fault}");
        }
        let answer = Problem::from(Fault::NoToken).answer(Lang::Zh);
        assert!(answer.headers.iter().any(|(n, v)| *n == "WWW-Authenticate" && v.starts_with("Bearer")));
    }
}

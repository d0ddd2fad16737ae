//! An HTML page that stands alone: one file, no script, no network, in Chinese and English, fit for print.
//!
//! Both languages are in the page; a choice at its top, made with style rules alone, shows one of them.

use crate::lang::Lang;

/// Style of every page. Widths are those of a desktop window and of A4.
const STYLE: &str = include_str!("page.css");

/// Text with the five characters that mean something in HTML written as entities.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A text in both languages, of which the page shows one. The texts are HTML.
pub fn both(en: &str, zh: &str) -> String {
    if en == zh { en.to_owned() } else { format!("<span class=\"en\">{en}</span><span class=\"zh\">{zh}</span>") }
}

/// A name from a label set in both languages; the texts are not HTML.
pub fn both_names(en: &str, zh: &str) -> String {
    both(&escaped(&capital(en)), &escaped(zh))
}

/// The name with a capital letter at its start, where the script has them.
pub fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// The whole page; `body` is HTML, the titles are not.
pub fn page(title: (&str, &str), lang: Lang, body: &str) -> String {
    let (en, zh) = (escaped(title.0), escaped(title.1));
    let (html_lang, checked_en, checked_zh) = match lang {
        Lang::En => ("en", " checked", ""),
        Lang::Zh => ("zh-CN", "", " checked"),
    };
    let notice = both("Screening aid for trained staff, not a diagnosis.", "仅供专业人员筛查辅助，不作为诊断依据。");
    format!(
        "<!DOCTYPE html>\n<html lang=\"{html_lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{en} · {zh}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <input type=\"radio\" name=\"lang\" id=\"lang-zh\"{checked_zh}><label for=\"lang-zh\">中文</label>\
         <input type=\"radio\" name=\"lang\" id=\"lang-en\"{checked_en}><label for=\"lang-en\">English</label>\n\
         <main>\n<h1>{}</h1>\n{body}<footer>{} · {notice}</footer>\n</main>\n</body>\n</html>\n",
        both(&en, &zh),
        super::record::PROGRAM
    )
}

/// A table: heads and cells are HTML; the first column is text, the others numbers.
pub fn table(class: &str, heads: &[String], rows: &[Vec<String>]) -> String {
    let head: String = heads.iter().map(|h| format!("<th scope=\"col\">{h}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let cell =
            |(i, c): (usize, &String)| if i == 0 { format!("<th scope=\"row\">{c}</th>") } else { format!("<td>{c}</td>") };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table class=\"{class}\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_become_markup() {
        let page = page(("a <script>", "乙"), Lang::Zh, &both_names("<b>x", "\"&'"));
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("&lt;b&gt;x") && page.contains("&quot;&amp;&#39;"));
        assert!(page.contains("id=\"lang-zh\" checked"));
    }

    #[test]
    fn a_page_asks_nothing_of_a_network() {
        let page = page(("a", "b"), Lang::En, "");
        for word in ["http://", "https://", "url(", "@import", "<script", "src="] {
            assert!(!page.contains(word), "{word}");
        }
    }
}

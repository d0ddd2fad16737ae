//! The property that every reading keeps, the corpus that is replayed over it, and how the corpus is drawn.

pub mod corpus;
#[path = "../../it/dicom_file.rs"]
pub mod dicom_file;
pub mod mutation;
pub mod property;
pub mod request_head;

#[cfg(test)]
mod tests {
    use super::{corpus, property};

    #[test]
    fn every_corpus_file_keeps_the_property() {
        let files = corpus::read().unwrap();
        assert!(files.len() >= 20, "only {} corpus files", files.len());
        for (_, bytes) in files {
            property::radiograph_never_lies(&bytes);
        }
    }

    #[test]
    fn the_corpus_is_what_its_drawing_says() {
        let committed: Vec<String> = corpus::read().unwrap().into_iter().map(|(name, _)| name).collect();
        for (name, _) in corpus::files() {
            assert!(committed.contains(&name), "{name} is not committed: run with --draw");
        }
    }
}

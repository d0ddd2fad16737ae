//! The properties that every reading of a film, or of a file beside films, keeps; the corpora that are replayed over them, and
//! how that of films is drawn.

pub mod corpus;
#[path = "../../it/dicom_file.rs"]
pub mod dicom_file;
pub mod mutation;
pub mod property;
pub mod texts;

#[cfg(test)]
mod tests {
    use super::{corpus, mutation, property, texts};

    #[test]
    fn every_corpus_file_keeps_the_property() {
        let files = corpus::read().unwrap();
        assert!(files.len() >= 20, "only {} corpus files", files.len());
        for (_, bytes) in files {
            property::radiograph_never_lies(&bytes);
        }
    }

    #[test]
    fn mutations_of_every_text_keep_its_property() {
        let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut dice = mutation::Dice::new(1);
        for target in texts::TARGETS {
            let files = texts::corpus(package, target.name).unwrap();
            for i in 0..2_000 {
                let other = &files[dice.below(files.len())].1;
                (target.check)(&mutation::mutated(&files[i % files.len()].1, other, &mut dice));
            }
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

//! The properties that every reading of a film, or of a file beside films, keeps; the corpora that are replayed over them, and
//! how that of films is drawn.

pub mod archive_answer;
pub mod config;
pub mod corpus;
#[path = "../../it/dicom_file.rs"]
pub mod dicom_file;
pub mod multipart;
pub mod mutation;
pub mod property;
pub mod request_head;
pub mod small;
pub mod texts;
pub mod token;

#[cfg(test)]
mod tests {
    use super::small::TARGETS;
    use super::{corpus, mutation, property};

    #[test]
    fn every_file_of_every_small_corpus_keeps_its_property_and_is_as_it_is_drawn() {
        for target in TARGETS {
            let files = target.corpus().unwrap();
            for (_, bytes) in &files {
                (target.property)(bytes);
            }
            for drawn in (target.draw)() {
                assert!(files.contains(&drawn), "{} of {} is not committed: run with --draw", drawn.0, target.name);
            }
        }
    }

    #[test]
    fn every_corpus_file_keeps_the_property() {
        let files = corpus::read().unwrap();
        assert!(files.len() >= 20, "only {} corpus files", files.len());
        for (_, bytes) in files {
            property::radiograph_never_lies(&bytes);
        }
    }

    #[test]
    fn mutations_of_every_small_corpus_keep_its_property() {
        let mut dice = mutation::Dice::new(1);
        for target in TARGETS {
            let files = target.corpus().unwrap();
            for i in 0..2_000 {
                let other = &files[dice.below(files.len())].1;
                (target.property)(&mutation::mutated(&files[i % files.len()].1, other, &mut dice));
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

pub(super) use super::portable::OPERATIONS;

//! The accuracy score of gpt-oss-120b.
//!
//! The package exists so that an auditor can build the scorer without LoadGen and without the engine; the graders are
//! added to it next (see CHANGELOG.md).

//! What is written of each question. Plain data.

/// A row of the data set.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The name in the column `dataset`.
    pub dataset: &'a str,
    /// What the scorer compares with.
    pub ground_truth: &'a str,
    /// The question as its publisher has it.
    pub question: &'a str,
    /// The user message: the question with the template around it.
    pub prompt: &'a str,
    /// The whole prompt as text, control tokens included.
    pub text_input: &'a str,
    /// The whole prompt.
    pub input_tokens: &'a [u32],
}

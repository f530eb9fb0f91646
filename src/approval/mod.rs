//! TODO(approval)

//! Every `unsafe`: one thin safe wrapper a call, `io::Result` out, descriptors as `OwnedFd`.

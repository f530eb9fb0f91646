//! Frames: one line each, bounded in both directions.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// Bytes of frames that wait for a client to read them. Who has more to say waits; that is the back-pressure. A longer
/// frame waits until it is alone.
const WAITING: u32 = 512 << 10;

/// Bytes of a frame that every connection may have unfinished, for as long as it likes.
pub(super) const USUAL: usize = 64 << 10;

/// How long a longer one may take.
pub(super) const LONG_TAKES: Duration = Duration::from_secs(20);

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line longer than the limit; all of it was thrown away.
    TooLong,
    End,
}

/// Reads one line of at most `most` bytes. What is longer is read to its end and forgotten.
pub(super) async fn read<R: AsyncBufRead + Unpin>(from: &mut R, most: usize) -> io::Result<Frame> {
    read_with(from, most, None).await
}

/// What a client says. Long frames are few at a time, whoever sends them, and have to come to their end soon.
#[derive(Debug)]
pub(super) struct Incoming<R> {
    from: R,
    long: Arc<Semaphore>,
    /// How long a long one may take.
    takes: Duration,
    /// Of the frame that was read last.
    held: Option<OwnedSemaphorePermit>,
}

impl<R: AsyncBufRead + Unpin> Incoming<R> {
    pub(super) fn new(from: R, long: Arc<Semaphore>, takes: Duration) -> Self {
        Self { from, long, takes, held: None }
    }

    /// The next frame; what bounded the one before is given back.
    pub(super) async fn next(&mut self, most: usize) -> io::Result<Frame> {
        self.held = None;
        read_with(&mut self.from, most, Some((&self.long, self.takes, &mut self.held))).await
    }
}

type Gate<'a> = (&'a Arc<Semaphore>, Duration, &'a mut Option<OwnedSemaphorePermit>);

async fn read_with<R: AsyncBufRead + Unpin>(
    from: &mut R,
    most: usize,
    mut gate: Option<Gate<'_>>,
) -> io::Result<Frame> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut until = None;
    loop {
        let chunk = match until {
            Some(until) => tokio::time::timeout_at(until, from.fill_buf()).await??,
            None => from.fill_buf().await?,
        };
        if chunk.is_empty() {
            // A last line without an end counts.
            return Ok(match (too_long, line.is_empty()) {
                (true, _) => Frame::TooLong,
                (false, true) => Frame::End,
                (false, false) => Frame::Line(line),
            });
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let piece = &chunk[..end.unwrap_or(chunk.len())];
        if line.len() + piece.len() > most {
            too_long = true;
            line = Vec::new();
        } else if !too_long {
            line.extend_from_slice(piece);
        }
        let used = end.map_or(chunk.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(if too_long { Frame::TooLong } else { Frame::Line(line) });
        }
        if let Some((long, takes, held)) = &mut gate
            && line.len() > USUAL
            && held.is_none()
        {
            **held = Arc::clone(long).acquire_owned().await.ok();
            until = Some(Instant::now() + *takes);
        }
    }
}

/// A frame, and its share of what may wait.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    _share: OwnedSemaphorePermit,
}

/// The way to one client, or to one command's input.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    frames: mpsc::UnboundedSender<Outgoing>,
    room: Arc<Semaphore>,
}

/// Its other end. Dropped, the client is gone.
#[derive(Debug)]
pub(super) struct Outgoings {
    frames: mpsc::UnboundedReceiver<Outgoing>,
    room: Arc<Semaphore>,
}

impl Outbox {
    pub(super) fn new() -> (Self, Outgoings) {
        let (frames, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING as usize));
        (Self { frames, room: Arc::clone(&room) }, Outgoings { frames: receiver, room })
    }

    /// Waits until the client has read enough. Gives the frame back where the client is gone.
    pub(super) async fn send(&self, frame: Vec<u8>) -> Result<(), Vec<u8>> {
        match Arc::clone(&self.room).acquire_many_owned(share(&frame)).await {
            Ok(share) => self.put(frame, share),
            Err(_) => Err(frame),
        }
    }

    /// Never waits; gives the frame back where the client has not read enough, or is gone.
    pub(super) fn try_send(&self, frame: Vec<u8>) -> Result<(), Vec<u8>> {
        match Arc::clone(&self.room).try_acquire_many_owned(share(&frame)) {
            Ok(share) => self.put(frame, share),
            Err(_) => Err(frame),
        }
    }

    /// Nobody reads any more.
    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    fn put(&self, bytes: Vec<u8>, share: OwnedSemaphorePermit) -> Result<(), Vec<u8>> {
        self.frames.send(Outgoing { bytes, _share: share }).map_err(|unread| unread.0.bytes)
    }
}

impl Outgoings {
    pub(super) async fn next(&mut self) -> Option<Outgoing> {
        self.frames.recv().await
    }
}

impl Drop for Outgoings {
    fn drop(&mut self) {
        // Who waits for room hears that there will be none.
        self.room.close();
    }
}

fn share(frame: &[u8]) -> u32 {
    u32::try_from(frame.len()).unwrap_or(WAITING).min(WAITING)
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    fn frames(bytes: &[u8], most: usize) -> Vec<Frame> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = BufReader::with_capacity(3, bytes);
            let mut found = Vec::new();
            loop {
                found.push(read(&mut reader, most).await.unwrap());
                if found.last() == Some(&Frame::End) {
                    return found;
                }
            }
        })
    }

    #[test]
    fn a_line_that_is_too_long_costs_nothing_but_itself() {
        let line = |text: &str| Frame::Line(text.as_bytes().to_vec());
        assert_eq!(frames(b"abcd\n", 4), [line("abcd"), Frame::End]);
        assert_eq!(frames(b"abcde\nx\n", 4), [Frame::TooLong, line("x"), Frame::End]);
        assert_eq!(frames(b"\n\nabcdefghijk", 4), [line(""), line(""), Frame::TooLong, Frame::End]);
        assert_eq!(frames(b"ab", 4), [line("ab"), Frame::End]);
        assert_eq!(frames(&[b'x'; 1_000_000], 4), [Frame::TooLong, Frame::End]);
    }

    #[test]
    fn what_waits_for_a_client_is_bounded_in_bytes() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (outbox, mut outgoings) = Outbox::new();
            let half = vec![0; WAITING as usize / 2];
            assert!(outbox.try_send(half.clone()).is_ok() && outbox.try_send(half.clone()).is_ok());
            assert_eq!(outbox.try_send(vec![0]), Err(vec![0]));
            drop(outgoings.next().await);
            assert!(outbox.try_send(vec![0]).is_ok());
            drop((outgoings.next().await, outgoings.next().await));
            let giant = vec![0; WAITING as usize * 2];
            assert!(outbox.try_send(giant.clone()).is_ok(), "alone it may be longer");
            assert_eq!(outbox.try_send(vec![0]), Err(vec![0]));
            let waiting = outbox.send(vec![1]);
            drop(outgoings);
            assert_eq!(waiting.await, Err(vec![1]), "nobody waits for a client that is gone");
        });
    }

    #[test]
    fn long_frames_are_few_at_a_time_and_come_to_their_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let long = Arc::new(Semaphore::new(1));
            let bytes = [vec![b'x'; USUAL * 2], b"\ny\n".to_vec()].concat();
            let mut incoming = Incoming::new(BufReader::new(&bytes[..]), Arc::clone(&long), LONG_TAKES);
            assert_eq!(incoming.next(FRAME).await.unwrap(), Frame::Line(bytes[..USUAL * 2].to_vec()));
            assert_eq!(long.available_permits(), 0, "while it is carried out");
            assert_eq!(incoming.next(FRAME).await.unwrap(), Frame::Line(b"y".to_vec()));
            assert_eq!(long.available_permits(), 1);
            let (mut writer, reader) = tokio::io::duplex(USUAL * 2);
            tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes[..USUAL + 1]).await.unwrap();
            let mut stuck = Incoming::new(BufReader::new(reader), long, Duration::from_millis(20));
            let error = stuck.next(FRAME).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "half a frame does not stay for good");
        });
    }

    const FRAME: usize = 1 << 20;
}

//! Each way from a received call to its reply, over a kernel that writes down what it is told.

use std::ffi::CStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::super::call::{Act, ActPermitted, AnswerTo};
use super::super::pool::{Pool, Taken};
use super::super::questions::{Questions, follow};
use super::super::receivers::Receivers;
use super::super::workers::Workers;
use super::super::{
    Asked, Asker, Context, Execution, Executions, Keeper, LivePolicy, Outcome, Parts, Standing, Supervisor,
};
use super::*;
use crate::dns::{Dns, DnsConfig};
use crate::journal::Journal;
use crate::policy::{Answer, Operation, Places, Policy, Question, Reason, Target};
use crate::sandbox::{Floor, Survey};
use crate::settings::Sandbox;
use crate::sys::thread as sys_thread;

/// What the handlers of these tests return where all goes well.
const DONE: i64 = 7;
/// What a refused question returns.
const REFUSAL: i32 = libc::EPERM;

const CONTINUED: i64 = i64::MIN;

/// Nothing that goes on takes so long.
const LONG: Duration = Duration::from_secs(20);

/// The kernel's side: the reply to each call, in the order in which they came.
#[derive(Default)]
struct Paper {
    calls: AtomicU64,
    told: Mutex<Vec<(u64, i64)>>,
    more: Condvar,
    /// Looking whether a call still waits takes its time.
    slow: AtomicBool,
    looks_begun: AtomicU64,
    looks_over: AtomicU64,
}

#[derive(Clone, Default)]
struct Writing(Arc<Paper>);

impl Writing {
    fn told(&self) -> Vec<(u64, i64)> {
        self.0.told.lock().unwrap().clone()
    }

    /// Waits until so many replies are there.
    fn until_told(&self, replies: usize) {
        let told = self.0.told.lock().unwrap();
        let waited = self.0.more.wait_timeout_while(told, LONG, |told| told.len() < replies);
        assert!(!waited.unwrap().1.timed_out(), "a call hangs");
    }

    fn listener(&self) -> Listener {
        Listener::new(self.clone())
    }
}

impl Kernel for Writing {
    fn receive(&self) -> io::Result<Call> {
        let path: &'static CStr = c"/bin/true";
        let args = [path.as_ptr() as u64, 0, 0, 0, 0, 0];
        let id = self.0.calls.fetch_add(1, Ordering::SeqCst);
        Ok(Call { id, tid: sys_thread::id(), nr: libc::SYS_execve, args })
    }

    fn is_waiting(&self, id: u64) -> bool {
        let begun = Instant::now();
        self.0.looks_begun.fetch_add(1, Ordering::SeqCst);
        while self.0.slow.load(Ordering::SeqCst) && begun.elapsed() < LONG {
            thread::sleep(Duration::from_millis(1));
        }
        self.0.looks_over.fetch_add(1, Ordering::SeqCst);
        !self.told().iter().any(|(told, _)| *told == id)
    }

    fn is_deserted(&self) -> bool {
        false
    }

    /// Takes no descriptor: the caller's table is full.
    fn respond(&self, id: u64, reply: Reply) -> io::Result<()> {
        let value = match reply {
            Reply::ContinueUnderFloor => CONTINUED,
            Reply::Errno(errno) => -i64::from(errno),
            Reply::Value(value) => value,
            Reply::Fd { .. } => return Err(io::Error::from_raw_os_error(libc::EMFILE)),
        };
        self.0.told.lock().unwrap().push((id, value));
        self.0.more.notify_all();
        Ok(())
    }
}

/// The rest of the world, which panics when it is told to.
#[derive(Default)]
struct World {
    panics: AtomicBool,
    answers: Mutex<Vec<AnswerTo>>,
}

impl World {
    fn may_panic(&self) {
        assert!(!self.panics.load(Ordering::SeqCst), "as it was told");
    }
}

struct Shared(Arc<World>);

impl Asker for Shared {
    fn ask(&self, _: Arc<Asked>, answer: AnswerTo) {
        self.0.may_panic();
        self.0.answers.lock().unwrap().push(answer);
    }
    fn withdraw(&self, _: u64) {}
}

impl Keeper for Shared {
    fn keep(&self, _: &Question, _: &Answer) {
        self.0.may_panic();
    }
    fn refresh(&self) -> Option<Policy> {
        None
    }
}

impl Executions for Shared {
    fn concerns(&self, _: &Path) -> bool {
        self.0.may_panic();
        false
    }
    fn judge(&self, _: &Execution) -> Standing {
        Standing::Free
    }
}

struct Scene {
    kernel: Writing,
    world: Arc<World>,
    supervisor: Arc<Supervisor>,
}

impl Scene {
    /// A supervisor whose threads are those that the calls need; one call may wait for each question.
    fn new() -> Self {
        sys_thread::prepare_interrupts().unwrap();
        let (kernel, world) = (Writing::default(), Arc::new(World::default()));
        let shared = || Arc::new(Shared(Arc::clone(&world)));
        let at = |place: &str| Path::new("/nonexistent").join(place);
        let places = Places {
            home: at("home"),
            workspace: at("work"),
            temporary: at("tmp"),
            cache: at("cache"),
            git_dirs: Vec::new(),
            nursery: None,
            read_only: false,
        };
        let policy = Policy::compile(&Sandbox::default(), places, &|_| None).unwrap();
        let floor = Floor::lay(&policy.silent_writing(), &policy.silent_writing(), &Survey::default()).unwrap().floor;
        let parts = Parts {
            policy: Arc::new(LivePolicy::new(policy)),
            monitor: 1,
            dns: Dns::new(DnsConfig { nameservers: Vec::new(), allowed: Box::new(|_| false) }),
            journal: Arc::new(Journal::begin(None)),
            keeper: shared(),
            executions: shared(),
        };
        let supervisor = Arc::new(Supervisor {
            context: Context::new(parts, 64, || Ok::<_, io::Error>((floor, kernel.clone()))).unwrap(),
            questions: Questions::new(shared(), String::new(), 2),
            workers: Workers::default(),
            stopping: AtomicBool::new(false),
            watch: Default::default(),
            watch_started: std::sync::Once::new(),
            receivers: Receivers::default(),
            keep_root_capabilities: false,
        });
        Self { kernel, world, supervisor }
    }

    fn receive(&self) -> Owed {
        self.supervisor.context.listener.receive().unwrap()
    }

    fn follow(&self, outcome: Outcome) {
        follow(&self.supervisor, self.receive(), outcome);
    }

    fn ask(&self, path: &str) {
        self.follow(asking(path, Box::new(|_, _, _| Outcome::Reply(Reply::Value(DONE)))));
    }

    fn panic_from_now_on(&self) {
        self.world.panics.store(true, Ordering::SeqCst);
    }

    /// Answers what was asked, from a thread of its own, as everybody does who asks.
    fn answer(&self, answer: &Answer) {
        for to in std::mem::take(&mut *self.world.answers.lock().unwrap()) {
            let answer = answer.clone();
            let _ = thread::spawn(move || to(answer)).join();
        }
    }
}

fn asking(path: &str, act: ActPermitted) -> Outcome {
    let target = Target::Path(path.into());
    let (operation, reason) = (Operation::Read, Reason::NotListed);
    let question = Box::new(Question { operation, target, reason, offers: Vec::new(), organisation: false });
    Outcome::Ask { question, refusal: REFUSAL, act }
}

fn apart(act: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    Outcome::Apart(Box::new(move |_, _| act()))
}

/// Label, what happens, and what each of its calls is told, once.
type Case = (&'static str, fn(&Scene), &'static [i64]);

/// The refusal of whoever let go of the reply.
const ACCES: i64 = -(libc::EACCES as i64);
const AGAIN: i64 = -(libc::EAGAIN as i64);
const PERM: i64 = -(REFUSAL as i64);

const CASES: &[Case] = &[
    ("a reply", |scene| scene.follow(Outcome::Reply(Reply::Value(DONE))), &[DONE]),
    ("a call that is served", |scene| scene.supervisor.serve(scene.receive()), &[CONTINUED]),
    ("a thread with too many rights", |scene| scene.supervisor.refuse(scene.receive()), &[-(libc::EPERM as i64)]),
    ("a call that nobody took up", |scene| drop(scene.receive()), &[ACCES]),
    (
        "a handler that panics",
        |scene| {
            scene.panic_from_now_on();
            scene.supervisor.serve(scene.receive());
        },
        &[ACCES],
    ),
    ("an act", |scene| scene.follow(apart(|| Outcome::Reply(Reply::Value(DONE)))), &[DONE]),
    ("an act after an act", |scene| scene.follow(apart(|| apart(|| Outcome::errno(libc::EPERM)))), &[PERM]),
    ("an act that panics", |scene| scene.follow(apart(|| panic!("as it was told"))), &[ACCES]),
    (
        "an act after the end",
        |scene| {
            scene.supervisor.workers.finish();
            scene.follow(apart(|| Outcome::Reply(Reply::Value(DONE))));
        },
        &[AGAIN],
    ),
    (
        "two equal questions, and one answer",
        |scene| {
            scene.ask("/a");
            scene.ask("/a");
            scene.answer(&Answer::Once);
        },
        &[DONE, DONE],
    ),
    (
        "a no",
        |scene| {
            scene.ask("/a");
            scene.answer(&Answer::Deny);
        },
        &[PERM],
    ),
    (
        "an answer that never comes",
        |scene| {
            scene.ask("/a");
            scene.world.answers.lock().unwrap().clear();
        },
        &[PERM],
    ),
    (
        "a permitted act that panics",
        |scene| {
            scene.follow(asking("/a", Box::new(|_, _, _| panic!("as it was told"))));
            scene.answer(&Answer::Run);
        },
        &[ACCES],
    ),
    (
        "an asker that panics, and a no that cannot be kept",
        |scene| {
            scene.panic_from_now_on();
            scene.ask("/a");
        },
        &[ACCES],
    ),
    (
        "an answer that cannot be kept: all who waited are refused",
        |scene| {
            scene.ask("/a");
            scene.ask("/a");
            scene.panic_from_now_on();
            scene.answer(&Answer::Run);
        },
        &[ACCES, ACCES],
    ),
    (
        "more questions than may wait, and the end",
        |scene| {
            scene.ask("/a");
            scene.ask("/b");
            scene.ask("/c");
            scene.supervisor.questions.close();
            scene.answer(&Answer::Once);
        },
        &[ACCES, ACCES, PERM],
    ),
    (
        "a question after the end",
        |scene| {
            scene.supervisor.questions.close();
            scene.ask("/a");
        },
        &[PERM],
    ),
];

#[test]
fn each_received_call_is_told_once_whatever_becomes_of_it() {
    for (label, happens, expected) in CASES {
        let scene = Scene::new();
        happens(&scene);
        scene.kernel.until_told(expected.len());
        scene.supervisor.finish();
        let mut told = scene.kernel.told();
        told.sort_unstable();
        let expected: Vec<(u64, i64)> = (0..).zip(expected.iter().copied()).collect();
        assert_eq!(told, expected, "{label}");
    }
}

/// Hundreds that wait take a while to be looked after: other calls come and go meanwhile.
#[test]
fn who_looks_after_calls_keeps_no_other_waiting() {
    for asks in [true, false] {
        let (scene, (end, ended)) = (Scene::new(), mpsc::channel::<()>());
        let paper = &scene.kernel.0;
        paper.slow.store(true, Ordering::SeqCst);
        match asks {
            true => scene.ask("/a"),
            false => scene.follow(apart(move || {
                let _ = ended.recv();
                Outcome::Reply(Reply::Value(DONE))
            })),
        }
        let begun = Instant::now();
        while paper.looks_begun.load(Ordering::SeqCst) == 0 && begun.elapsed() < LONG {
            thread::sleep(Duration::from_millis(1));
        }
        scene.ask("/b");
        scene.follow(apart(|| Outcome::Reply(Reply::Value(DONE))));
        scene.kernel.until_told(1);
        let looks = [&paper.looks_begun, &paper.looks_over].map(|looks| looks.load(Ordering::SeqCst));
        assert_eq!(looks, [1, 0], "asks: {asks}");
        paper.slow.store(false, Ordering::SeqCst);
        drop(end);
        scene.answer(&Answer::Run);
        scene.kernel.until_told(3);
        scene.supervisor.finish();
    }
}

#[test]
fn the_end_refuses_acts_that_have_not_begun() {
    let (kernel, mut pool) = (Writing::default(), Pool::<(Owed, Act), ()>::of(1));
    for _ in 0..3 {
        let owed = kernel.listener().receive().unwrap();
        let taken = pool.submit(owed.call().id, (owed, Box::new(|_, _| panic!("it begins"))));
        assert!(!matches!(taken, Taken::Refused(_)));
    }
    assert_eq!(kernel.told(), []);
    drop(pool.end());
    assert_eq!(kernel.told(), [(0, ACCES), (1, ACCES), (2, ACCES)]);
}

#[test]
fn a_reply_that_the_kernel_does_not_take_is_followed_by_the_reason() {
    let kernel = Writing::default();
    let fd = std::fs::File::open("/dev/null").unwrap().into();
    kernel.listener().receive().unwrap().reply(Reply::Fd { fd, cloexec: true });
    assert_eq!(kernel.told(), [(0, -i64::from(libc::EMFILE))]);
}

/// A second reply needs a second token. With a `Clone` (a `Copy` has one) this would not compile, as two
/// implementations would fit.
#[test]
fn there_is_one_token_for_each_call() {
    trait Single<Why> {
        fn holds() {}
    }
    struct IsClone;
    impl<T> Single<()> for T {}
    impl<T: Clone> Single<IsClone> for T {}
    <Owed as Single<_>>::holds();
}

//! Stands where the plugin has std's mutex and atomics and tokio's watch.

pub(crate) use shuttle::sync::{Arc, Mutex, PoisonError, atomic};

/// tokio's watch, before each operation of which another thread may get its turn.
///
/// It knows of no runtime, and its locks are held inside one operation only; as one thread runs at a time it never waits
/// for them.
pub(crate) mod watch {
    use std::thread;

    use shuttle::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    use tokio::sync::watch;
    pub(crate) use tokio::sync::watch::{Ref, error::RecvError};

    /// A place where the scheduler may change threads: any operation on an atomic is one.
    #[derive(Clone, Debug, Default)]
    struct Point(Arc<AtomicBool>);

    impl Point {
        fn pass(&self) {
            // A thread that is unwinding keeps its turn, or the others would be seen as panicking as well.
            if !thread::panicking() {
                self.0.load(Ordering::SeqCst);
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T> {
        point: Point,
        inner: watch::Sender<T>,
    }

    #[derive(Debug)]
    pub(crate) struct Receiver<T> {
        point: Point,
        inner: watch::Receiver<T>,
    }

    pub(crate) fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
        let point = Point::default();
        let (sender, receiver) = watch::channel(init);
        (Sender { point: point.clone(), inner: sender }, Receiver { point, inner: receiver })
    }

    impl<T> Sender<T> {
        pub(crate) fn send_replace(&self, value: T) -> T {
            self.point.pass();
            self.inner.send_replace(value)
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.point.pass();
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            self.point.pass();
            Self { point: self.point.clone(), inner: self.inner.clone() }
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn borrow(&self) -> Ref<'_, T> {
            self.point.pass();
            self.inner.borrow()
        }

        pub(crate) fn has_changed(&self) -> Result<bool, RecvError> {
            self.point.pass();
            self.inner.has_changed()
        }

        pub(crate) async fn wait_for(
            &mut self,
            condition: impl FnMut(&T) -> bool,
        ) -> Result<Ref<'_, T>, RecvError> {
            self.point.pass();
            self.inner.wait_for(condition).await
        }
    }
}

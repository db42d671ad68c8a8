//! The places of a listener, one for each connection, and who gives his up when all are taken.
//!
//! Promises: there are never more than the bound; whoever comes when all are taken gets the place of the connection
//! that has waited longest for its client; a connection whose call is in progress keeps its own.
//! Deliberately does not: know connections. Whoever has a place leaves it when he is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All places of one listener.
pub(super) struct Places(Arc<Room>);

struct Room {
    most: usize,
    seats: Mutex<Seats>,
    /// Somebody has left, or waits again.
    changed: Notify,
}

#[derive(Default)]
struct Seats {
    /// Counts what happens; orders who has waited since when.
    turns: u64,
    /// By the turn at which it was taken.
    taken: HashMap<u64, Seat>,
}

struct Seat {
    state: State,
    leave: CancellationToken,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// For its client, since this turn: to shake hands, to ask, to send the rest of a call, to take a reply.
    Waiting(u64),
    /// A call of its client is in progress.
    Working,
    /// It was told to leave.
    Leaving,
}

impl Places {
    /// So many, all free.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Room { most, seats: Mutex::default(), changed: Notify::new() }))
    }

    /// A place. Comes at once unless every one is held by a call in progress.
    pub(super) async fn take(&self) -> Arc<Place> {
        loop {
            // A change between the look and the wait is not lost: it is kept for the one who waits next.
            match self.0.take_free() {
                Some((turn, leave)) => return Arc::new(Place { turn, leave, room: Arc::clone(&self.0) }),
                None => self.0.changed.notified().await,
            }
        }
    }
}

impl Room {
    /// A free place; if there is none, somebody is told to leave his, unless one is leaving already.
    fn take_free(&self) -> Option<(u64, CancellationToken)> {
        let mut seats = self.seats();
        if seats.taken.len() < self.most {
            let (turn, leave) = (seats.next_turn(), CancellationToken::new());
            seats.taken.insert(turn, Seat { state: State::Waiting(turn), leave: leave.clone() });
            return Some((turn, leave));
        }
        if seats.taken.values().all(|seat| seat.state != State::Leaving)
            && let Some(longest) = seats.longest_waiting()
        {
            longest.state = State::Leaving;
            longest.leave.cancel();
        }
        None
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    fn longest_waiting(&mut self) -> Option<&mut Seat> {
        let since = |seat: &mut Seat| match seat.state {
            State::Waiting(since) => Some(since),
            State::Working | State::Leaving => None,
        };
        let waiting = self.taken.values_mut().filter_map(|seat| Some((since(seat)?, seat)));
        waiting.min_by_key(|(since, _)| *since).map(|(_, seat)| seat)
    }
}

/// The place of one connection, until it is dropped.
pub(super) struct Place {
    turn: u64,
    leave: CancellationToken,
    room: Arc<Room>,
}

impl Place {
    /// Comes when the place is to be left.
    pub(super) async fn told_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// From now on its connection waits for its client.
    pub(super) fn waits(&self) {
        let mut seats = self.room.seats();
        let turn = seats.next_turn();
        self.become_in(&mut seats, State::Waiting(turn));
        self.room.changed.notify_one();
    }

    /// From now on a call is in progress.
    pub(super) fn works(&self) {
        self.become_in(&mut self.room.seats(), State::Working);
    }

    fn become_in(&self, seats: &mut Seats, state: State) {
        if let Some(seat) = seats.taken.get_mut(&self.turn).filter(|seat| seat.state != State::Leaving) {
            seat.state = state;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.seats().taken.remove(&self.turn);
        self.room.changed.notify_one();
    }
}

/// A call in progress at a place, until it is dropped.
pub(super) struct InCall(Arc<Place>);

impl InCall {
    /// Of a call whose head has come.
    pub(super) fn begin(place: &Arc<Place>) -> Self {
        let call = Self(Arc::clone(place));
        call.goes_on();
        call
    }

    /// Nothing is awaited of the client any more.
    pub(super) fn goes_on(&self) {
        self.0.works();
    }
}

impl Drop for InCall {
    fn drop(&mut self) {
        self.0.waits();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken(places: &Places) -> Arc<Place> {
        places.take().now_or_never().expect("a free place")
    }

    fn is_told_to_leave(place: &Place) -> bool {
        place.leave.is_cancelled()
    }

    #[test]
    fn whoever_has_waited_longest_makes_room() {
        let places = Places::new(3);
        let [first, second, third] = [(); 3].map(|()| taken(&places));
        first.works();
        first.waits();
        assert!(places.take().now_or_never().is_none());
        assert_eq!([&first, &second, &third].map(|place| is_told_to_leave(place)), [false, true, false]);
        assert!(places.take().now_or_never().is_none());
        assert!(!is_told_to_leave(&third), "one who leaves is enough for one who comes");
        drop(second);
        let _fourth = taken(&places);
        assert!(places.take().now_or_never().is_none());
        assert_eq!([&first, &third].map(|place| is_told_to_leave(place)), [false, true]);
    }

    #[test]
    fn a_call_in_progress_keeps_its_place_and_gives_it_up_once_it_is_over() {
        let places = Places::new(1);
        let place = taken(&places);
        let call = InCall::begin(&place);
        let mut next = std::pin::pin!(places.take());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(!is_told_to_leave(&place));
        drop(call);
        assert!(next.as_mut().now_or_never().is_none());
        assert!(is_told_to_leave(&place));
        place.works();
        assert!(next.as_mut().now_or_never().is_none());
        drop(place);
        assert!(next.now_or_never().is_some());
    }
}

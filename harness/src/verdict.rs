//! What makes a scenario and a run red: a pure fold over events.

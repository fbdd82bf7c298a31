//! ROOM 2: the cdylib

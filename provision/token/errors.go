package token

import "errors"

// What a store answers when the facts stand in the way. They are shared so that provision, validate and desk can tell
// them apart without knowing a back end.
var (
	ErrNotFound  = errors.New("not found")
	ErrDuplicate = errors.New("already exists")
	ErrUnsettled = errors.New("an unfinished write holds this slot")
	ErrConflict  = errors.New("somebody else changed it meanwhile")
	ErrNewer     = errors.New("the store was written by a newer version")
	ErrWrongKey  = errors.New("the sealing key does not belong to this store")
	ErrFull      = errors.New("no space left for the store")
	ErrMoved     = errors.New("the store was moved: it answers at another place")
	ErrIntegrity = errors.New("the store's contents contradict each other")
)

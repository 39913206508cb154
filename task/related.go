package task

// Related returns the handle of another result in the same store.
func (r *Result[R]) Related(ref Ref) *Result[any] { return ResultAt[any](ref, r.results) }

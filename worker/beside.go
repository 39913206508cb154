package worker

// startBeside runs what Config.Beside holds until the worker stops. What ends before is missed by nobody but the log: the tasks go on.
func (w *Worker) startBeside() {
	for _, run := range w.cfg.Beside {
		w.loops.Go(func() {
			if err := run(w.stopping); err != nil && w.stopping.Err() == nil {
				w.log.ErrorContext(w.stopping, "part of the worker ended", "error", err)
			}
		})
	}
}

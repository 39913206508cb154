package report

// reasons are why targets are not met, or not measured, by the target's key. They are shown only then, so that a reason that is out of
// date does no harm.
func reasons() map[string]string {
	return map[string]string{
		"events": "there are no events yet",
	}
}

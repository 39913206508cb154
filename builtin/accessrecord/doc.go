// Package accessrecord stores the visits of a website in the background: the task access_record, the HTTP side that collects a
// visit and sends it, and the PostgreSQL and SQLite stores that the task writes to.
//
// The website:
//
//	visits := accessrecord.NewMiddleware(app, accessrecord.MiddlewareConfig{})
//	defer visits.Close(ctx)
//	http.ListenAndServe(addr, visits.Wrap(site))
//
// The worker:
//
//	recorder, err := accessrecord.New(accessrecord.Config{Database: "postgres://localhost/site"})
//	defer recorder.Close()
//	app.Register(recorder.Task())
//
// The task is called as in the Django site that it comes from: access_record.delay(data), where data is a dict with the fields of
// Visit. A visit is stored once per task id, however often the task is delivered.
package accessrecord

package testserver

import (
	"embed"
	"maps"
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// djangoFiles are the modules of the site: site_settings, site_urls and site_celery, whose app is Celery's.
//
//go:embed django/*.py
var djangoFiles embed.FS

// DjangoConfig says what a test's Django site finds.
type DjangoConfig struct {
	Database string            // URL of a PostgreSQL database
	Broker   string            // as in PythonConfig
	Extended bool              // store task names and arguments, too (Celery's result_extended)
	Modules  map[string]string // file name to source, besides those of the site; importable
}

// Django is a real Django site with its admin and django-celery-results, and with a real Celery whose results go there. Its tables are
// not there until Manage("migrate").
type Django struct{ *Python }

// NewDjango lays out the site.
func NewDjango(t testing.TB, cfg DjangoConfig) *Django {
	t.Helper()
	modules := map[string]string{}
	for _, name := range []string{"site_settings.py", "site_urls.py", "site_celery.py"} {
		source, err := djangoFiles.ReadFile("django/" + name)
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = string(source)
	}
	maps.Copy(modules, cfg.Modules)
	env := []string{"DJANGO_SETTINGS_MODULE=site_settings", "SITE_DATABASE=" + cfg.Database}
	if cfg.Extended {
		env = append(env, "SITE_EXTENDED=1")
	}
	p := NewPython(t, PythonConfig{Broker: cfg.Broker, Modules: modules, Env: env})
	for _, module := range []string{"django_celery_results", "psycopg2"} {
		Started(t, "Django", instance.FindModule(t.Context(), p.path, module))
	}
	return &Django{p}
}

// Manage runs a command of the site's manage.py and returns what it printed.
func (d *Django) Manage(args ...string) string {
	d.t.Helper()
	return d.run(append([]string{"-m", "django"}, args...)...)
}

// Run runs a script in the site, as Python.Run does.
func (d *Django) Run(script string, args ...string) string {
	d.t.Helper()
	return d.Python.Run("import django\ndjango.setup()\n"+script, args...)
}

package codec_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
)

func TestWhatIsRememberedOfTypesChangesNothing(t *testing.T) {
	t.Parallel()
	type inner struct {
		Name string `json:"name,omitempty"`
	}
	type outer struct {
		inner
		List []inner        `json:"list"`
		Map  map[string]int `json:"map"`
		Any  any            `json:"any"`
	}
	for _, c := range []codec.Codec{codec.JSON{}, codec.Msgpack{}} {
		remembering := codec.Remembering(c)
		if again := codec.Remembering(remembering); again != remembering {
			t.Errorf("%s: what is remembered was forgotten", c.ContentType())
		}
		want := outer{inner: inner{"a"}, List: []inner{{"b"}, {}}, Map: map[string]int{"c": 1}, Any: "d"}
		plain, err := c.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				encoded, err := remembering.Marshal(want)
				if err != nil || string(encoded) != string(plain) {
					t.Errorf("%s: encoded = %q, %v, want %q", c.ContentType(), encoded, err, plain)
				}
				var got outer
				if err := remembering.Unmarshal(encoded, &got); err != nil || !cmp.Equal(want, got, cmp.AllowUnexported(outer{})) {
					t.Errorf("%s: decoded = %+v, %v, want %+v", c.ContentType(), got, err, want)
				}
			})
		}
		wg.Wait()
	}
}

func TestALimitOfDepthKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []codec.Codec{codec.Remembering(codec.JSON{}), codec.Remembering(codec.Msgpack{})} {
		limited := codec.WithMaxDepth(c, 2)
		if limited == c || codec.WithMaxDepth(limited, 2) != limited || codec.WithMaxDepth(limited, 0) != limited || codec.Remembering(limited) != limited {
			t.Errorf("%s: the limit of depth changes more than that", c.ContentType())
		}
	}
}

func TestAKnownTypeIsNotFoundOutAgain(t *testing.T) { // not parallel: it counts the memory of the process
	type visit struct{ Path, Query, Address, Source string }
	count := func(c codec.Codec) float64 {
		return testing.AllocsPerRun(100, func() {
			if err := c.Unmarshal([]byte(`{}`), new(visit)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if anew, known := count(codec.JSON{}), count(codec.Remembering(codec.JSON{})); known > anew-4 {
		t.Errorf("allocations = %.0f for a type that is known, %.0f for one that is not", known, anew)
	}
}

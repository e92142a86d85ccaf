package registry

import "context"

func hasty(ctx context.Context) context.Context { return ctx }

package token

import "context"

// actorKey is the key of the actor in a context.
type actorKey struct{}

// WithActor says who acts: for the audit chain, which otherwise names the system user who runs the process. name is that of an
// operator who proved it.
func WithActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

// Actor is who acts by this context, or otherwise.
func Actor(ctx context.Context, otherwise string) string {
	if name, ok := ctx.Value(actorKey{}).(string); ok {
		return name
	}
	return otherwise
}

package decode

import (
	"context"
	"errors"
)

// open reads what was written with a schema and finds the format of the rest.
func (m *Mapping) open(ctx context.Context, msg *message, d *Decoded) error {
	if err := m.openKey(ctx, msg); err != nil {
		return ofKey(err)
	}
	if msg.value == nil {
		return nil
	}
	r := msg.Record
	switch {
	case m.format == Auto && m.registry != nil && framed(r, valueSchemaHeader, r.Value):
		format, value, err := m.registry.transcode(ctx, r, valueSchemaHeader, r.Value)
		var own *Error
		if errors.As(err, &own) && own.Reason == UnknownSchema && looksLikeFloats(r.Value) {
			break // floats of which the first begins with a zero
		}
		d.Format = format
		if err != nil {
			return err
		}
		msg.value, msg.format = value, detect(value)
		return nil
	case m.format.hasSchema() && m.schema != nil:
		value, err := m.schema.transcode(r.Value)
		if err != nil {
			return notOfSchema("value is not what its schema says", err)
		}
		msg.value, msg.format = value, detect(value)
		return nil
	case m.format.hasSchema():
		format, value, err := m.registry.transcode(ctx, r, valueSchemaHeader, r.Value)
		if err != nil {
			return err
		}
		if format != m.format {
			return Bad(Undecodable, "the value's schema is of the format %s", format)
		}
		msg.value, msg.format = value, detect(value)
		return nil
	}
	if m.format == Auto {
		msg.format = detect(msg.value)
		d.Format = msg.format
	}
	return nil
}

// openKey reads a key that was written with a schema. Any format may have such keys.
func (m *Mapping) openKey(ctx context.Context, msg *message) error {
	key := msg.Record.Key
	var err error
	switch {
	case len(key) == 0:
		return nil
	case m.keySchema != nil:
		if msg.key, err = m.keySchema.transcode(key); err != nil {
			return notOfSchema("key is not what its schema says", err)
		}
	case m.registry != nil && (m.format == Auto || m.format.hasSchema()) && framed(msg.Record, keySchemaHeader, key):
		if _, msg.key, err = m.registry.transcode(ctx, msg.Record, keySchemaHeader, key); err != nil {
			return err
		}
	default:
		return nil
	}
	msg.typedKey = true
	return nil
}

// ofKey says that an error is about the key. It copies: the registry keeps its errors.
func ofKey(err error) error {
	var own *Error
	if !errors.As(err, &own) {
		return err
	}
	e := *own
	e.Key = true
	return &e
}

// notOfSchema makes a dead letter of what a transcoder could not read.
func notOfSchema(part string, err error) error {
	var x notFinite
	if errors.As(err, &x) {
		return Bad(BadVector, "%v", err)
	}
	return Bad(Undecodable, "the %s: %v", part, err)
}

package decode

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/bufbuild/protocompile"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protobufSchema reads messages of a .proto file, whose places in the file come before
// them.
type protobufSchema struct{ file protoreflect.FileDescriptor }

// rootFile is the name under which a schema is compiled; its parents have their own.
const rootFile = "schema.registry.root"

func parseProtobuf(ctx context.Context, text string, parents []parent) (transcoder, error) {
	sources := map[string]string{rootFile: text}
	for _, p := range parents {
		sources[p.name] = p.text
	}
	compiler := protocompile.Compiler{
		MaxParallelism: 1,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(sources),
		}),
	}
	files, err := compiler.Compile(ctx, rootFile)
	if err != nil {
		return nil, err
	}
	return protobufSchema{files[0]}, nil
}

// maxProtobufDepth bounds how deep messages may be nested.
const maxProtobufDepth = 64

func (s protobufSchema) transcode(data []byte) ([]byte, error) {
	path, data, err := new(sr.ConfluentHeader).DecodeIndex(data, maxProtobufDepth)
	if err != nil {
		return nil, fmt.Errorf("the place of the message: %w", err)
	}
	var message protoreflect.MessageDescriptor
	messages := s.file.Messages()
	for _, i := range path {
		if i < 0 || i >= messages.Len() {
			return nil, fmt.Errorf("there is no message %v", path)
		}
		message = messages.Get(i)
		messages = message.Messages()
	}
	if message == nil {
		return nil, errors.New("there is no place of a message")
	}
	m := dynamicpb.NewMessage(message)
	// Extensions are not looked for: there are none but those of the schema.
	if err := (proto.UnmarshalOptions{RecursionLimit: maxProtobufDepth}).Unmarshal(data, m); err != nil {
		return nil, err
	}
	return appendMessage(make([]byte, 0, 4*len(data)), m)
}

// appendMessage writes a message with the names of its file. Fields that do not tell
// whether they were set are there with their defaults, lists and maps where they have
// elements.
func appendMessage(dst []byte, m protoreflect.Message) ([]byte, error) {
	descriptor := m.Descriptor()
	if descriptor.FullName().Parent() == "google.protobuf" {
		return appendWellKnown(dst, m)
	}
	var err error
	dst = append(dst, '{')
	fields := descriptor.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if (field.HasPresence() || field.IsList() || field.IsMap()) && !m.Has(field) {
			continue
		}
		dst = appendName(dst, string(field.Name()))
		if dst, err = appendField(dst, field, m.Get(field)); err != nil {
			return dst, fmt.Errorf("%s: %w", field.Name(), err)
		}
	}
	return append(dst, '}'), nil
}

func appendField(dst []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	var err error
	switch {
	case field.IsList():
		dst = append(dst, '[')
		for i := range v.List().Len() {
			if dst, err = appendValue(separate(dst, '['), field, v.List().Get(i)); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case field.IsMap():
		dst = append(dst, '{')
		v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
			dst, err = appendValue(appendName(dst, key.String()), field.MapValue(), v)
			return err == nil
		})
		return append(dst, '}'), err
	default:
		return appendValue(dst, field, v)
	}
}

func appendValue(dst []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch x := v.Interface().(type) {
	case bool:
		return strconv.AppendBool(dst, x), nil
	case int32:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case int64:
		return strconv.AppendInt(dst, x, 10), nil
	case uint32:
		return strconv.AppendUint(dst, uint64(x), 10), nil
	case uint64:
		return strconv.AppendUint(dst, x, 10), nil
	case float32:
		return appendFloat(dst, float64(x), 32)
	case float64:
		return appendFloat(dst, x, 64)
	case string:
		return append(dst, quote([]byte(x))...), nil
	case []byte:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, x)
		return append(dst, '"'), nil
	case protoreflect.EnumNumber:
		if symbol := field.Enum().Values().ByNumber(x); symbol != nil {
			return append(dst, quote([]byte(symbol.Name()))...), nil
		}
		return strconv.AppendInt(dst, int64(x), 10), nil
	case protoreflect.Message:
		return appendMessage(dst, x)
	default:
		return dst, fmt.Errorf("a value of the type %T", x)
	}
}

// appendWellKnown writes the types that have a JSON form of their own: moments,
// wrapped values, objects.
func appendWellKnown(dst []byte, m protoreflect.Message) ([]byte, error) {
	raw, err := protojson.Marshal(m.Interface())
	return append(dst, raw...), err
}

/** Commands as mutations: `name(input: NameInput!): NamePayload`, nullable, so that a failure doesn't null the whole answer. */
import type { InputFieldBuilder, InputFieldMap, InputFieldRef, ObjectFieldsShape, OutputType } from '@pothos/core'
import type { Command, Target } from '../../platform/command.ts'
import { builder, type Types } from './builder.ts'
import type { GraphqlContext } from './context.ts'

export type InputBuilder = InputFieldBuilder<Types, 'InputObject'>

export type CommandFace<Result extends object> = {
  /** Fields of the input in addition to `idempotencyKey` and, if `versioned`, `ifVersion`. */
  input: (t: InputBuilder) => InputFieldMap
  /** Whether the command changes or deletes a single versioned object, so that `ifVersion` applies. */
  versioned?: boolean
  payload: ObjectFieldsShape<Types, Result>
}

/** The payload of a command whose result is one row, under its name. */
export const payloadOf =
  <Result extends object>(name: keyof Result & string, type: OutputType<Types>, description: string): ObjectFieldsShape<Types, Result> =>
  // Pothos would infer the field's value from `type`, which is any output type here.
  (t) => ({ [name]: t.field({ type, description, resolve: (result: Result) => result[name] as never }) })

const upper = (name: string) => name[0]!.toUpperCase() + name.slice(1)

/** Adds a command to the schema as a mutation. Returns the payload type, so that a later concept can add a field to it. */
export function mutation<Input, Row extends Target | null, Result extends object>(
  command: Command<Input, Row, Result>,
  face: CommandFace<Result>,
) {
  const Name = upper(command.name)
  const InputType = builder.inputType(`${Name}Input`, {
    description: `Input of ${command.name}.`,
    fields: (t) => {
      const fields: Record<string, InputFieldRef<Types, unknown>> = {
        ...face.input(t as InputBuilder),
        idempotencyKey: t.string({
          description:
            'Repeating a request with the same idempotency key within 24 hours returns the first result without repeating the effect. At most 255 characters. Fails with `idempotency_key_reused` if the input differs.',
        }),
      }
      if (face.versioned) fields.ifVersion = t.int({ description: 'Fails with `version_conflict` unless the object is at this version.' })
      return fields
    },
  })
  const Payload = builder
    .objectRef<Result>(`${Name}Payload`)
    .implement({ description: `Payload of ${command.name}.`, fields: face.payload })
  builder.mutationField(command.name, (t) =>
    t.field({
      type: Payload,
      nullable: true,
      description: command.description,
      args: { input: t.arg({ type: InputType, required: true, description: `Input of ${command.name}.` }) },
      // The input's fields are not known by name here, nor is that the result is the payload's shape.
      resolve: (_root, { input }, context: GraphqlContext) => context.call(command, { ...(input as object) }) as never,
    }),
  )
  return Payload
}

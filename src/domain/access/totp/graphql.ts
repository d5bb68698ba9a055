import { builder, findRelated, loadRows, mutation } from '../../../graphql/builder/index.ts'
import { demandSelf } from '../../../platform/command.ts'
import { User } from '../user/graphql.ts'
import { userListing } from '../user/index.ts'
import { disableTotp, enableTotp, setUpTotp } from './commands.ts'
import { enabledByUser } from './store.ts'

builder.prismaObjectField(User, 'totpEnabled', (t) =>
  t.boolean({
    description: 'Whether the user needs a one-time password to sign in. Fails with `forbidden` unless the user is the caller.',
    resolve: (user, _args, context) => {
      demandSelf(context.caller, user.id)
      return loadRows(context, 'User.totpEnabled', user.id, [], enabledByUser)
    },
  }),
)

const onceText = 'Returned only once. Null when a request is repeated with the same idempotency key.'

mutation(setUpTotp, {
  input: () => ({}),
  payload: (t) => ({
    secret: t.exposeString('secret', { nullable: true, description: `Secret in base32, for authenticator apps. ${onceText}` }),
    otpauthUrl: t.exposeString('otpauthUrl', {
      nullable: true,
      description: `URL with the secret, to be shown as a QR code to authenticator apps. ${onceText}`,
    }),
  }),
})

mutation(enableTotp, {
  input: (t) => ({ code: t.string({ required: true, description: 'Current one-time password from the authenticator app.' }) }),
  payload: (t) => ({
    recoveryCodes: t.exposeStringList('recoveryCodes', {
      nullable: true,
      description: `Eight codes. Each of them can be used once in place of a one-time password. ${onceText}`,
    }),
  }),
})

mutation(disableTotp, {
  input: (t) => ({
    password: t.string({ description: 'Password of the user. Exactly one of `password` and `code` is required.' }),
    code: t.string({ description: 'One-time password or recovery code.' }),
  }),
  payload: (t) => ({
    user: t.field({
      type: User,
      description: 'The user.',
      resolve: ({ userId }, _args, context, info) => findRelated(context, info, userListing, userId),
    }),
  }),
})

// oidc-provider, a certified OAuth 2.1 and OpenID Connect server, as a strict service to be connected: PKCE is
// required, refresh tokens are good once, and using a spent one ends the whole grant.
//
//   node oidc_provider.mjs PORT KEY.pem     with oidc-provider installed beside this file
//
// Clients: "cid" with the secret "csec" (HTTP Basic); "signer", which shows itself by assertions of the key.
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, key] = [Number(process.argv[2]), process.argv[3]];
const jwk = createPublicKey(readFileSync(key)).export({ format: 'jwk' });
const redirect_uris = ['https://tramontane.example.com/v1/oauth/callback'];
const grant_types = ['authorization_code', 'refresh_token'];
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [
    { client_id: 'cid', client_secret: 'csec', redirect_uris, grant_types, response_types: ['code'] },
    {
      client_id: 'signer', redirect_uris, grant_types, response_types: ['code'],
      token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'RS256',
      jwks: { keys: [{ ...jwk, kid: 'sandbox', alg: 'RS256', use: 'sig' }] },
    },
  ],
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AccessToken: 60 },
  cookies: { keys: ['tests'] },
});
provider.listen(port, '127.0.0.1', () => console.log(`oidc-provider at ${issuer}`));

/** What subscribers and publisher say to NATS alike. */

export const NATS_SUBJECT = 'bench';

export const NATS_CONNECT =
  'CONNECT {"verbose":false,"pedantic":false,"echo":false,"lang":"bench","version":"1","protocol":1}\r\n';

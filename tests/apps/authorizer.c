/* SPDX-License-Identifier: ISC */
/*
 * An authorizer: a request with "deny" in its query is refused with 403,
 * any other is let in, and the application behind it told by whom.
 */
#include <string.h>
#include <unistd.h>

#include <fcgiapp.h>

int
main(void)
{
	const char *query, *role;
	FCGX_Request r;

	if (FCGX_Init() != 0 || FCGX_InitRequest(&r, 0, 0) != 0)
		return 1;
	while (FCGX_Accept_r(&r) >= 0) {
		query = FCGX_GetParam("QUERY_STRING", r.envp);
		role = FCGX_GetParam("FCGI_ROLE", r.envp);
		if (role == NULL || strcmp(role, "AUTHORIZER") != 0)
			FCGX_FPrintF(r.out, "Status: 500\r\nContent-Type: "
			    "text/plain\r\n\r\nnot asked to authorize\n");
		else if (query != NULL && strstr(query, "deny") != NULL)
			FCGX_FPrintF(r.out, "Status: 403\r\nContent-Type: "
			    "text/plain\r\n\r\nrefused by %d\n",
			    (int)getpid());
		else
			FCGX_FPrintF(r.out, "Status: 200\r\n"
			    "Variable-AUTHORIZED_BY: authorizer\r\n\r\n");
		FCGX_Finish_r(&r);
	}
	return 0;
}

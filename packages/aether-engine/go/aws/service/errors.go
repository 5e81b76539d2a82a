package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// propagation is how long AWS may take to show what one service made to another.
const propagation = 2 * time.Minute

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func has(err error, codes ...string) bool { return slices.Contains(codes, code(err)) }

// gone is no error: what was to be deleted is not there.
func gone(err error, codes ...string) error {
	if has(err, codes...) {
		return nil
	}
	return err
}

// eventually tries again while the error is one of those that pass by themselves.
func eventually(ctx context.Context, passing func(error) bool, call func() error) error {
	deadline := time.Now().Add(propagation)
	for delay := 200 * time.Millisecond; ; delay = min(delay*2, 5*time.Second) {
		err := call()
		if err == nil || !passing(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(delay):
		}
	}
}

// Explain says what to do about errors that are not about a resource.
func (s *Session) Explain(err error) error {
	advice := ""
	switch {
	case has(err, "ExpiredToken", "ExpiredTokenException", "RequestExpired"):
		advice = "the AWS credentials have expired: get new ones (`aws sso login`, or new keys) and run again"
	case has(err, "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "SignatureDoesNotMatch",
		"InvalidAccessKeyId", "IncompleteSignature", "MissingAuthenticationToken"):
		advice = "AWS refuses these credentials: check the access key and the secret key"
	case has(err, "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException",
		"PriorRequestNotComplete", "SlowDown"):
		advice = "AWS throttles this account's requests, also after many tries: run again later"
	case has(err, "UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
		advice = "the AWS user or role may not do this: give it the permission that the message names"
	case strings.Contains(err.Error(), "failed to retrieve credentials") ||
		strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "get identity"):
		advice = "no AWS credentials: set accessKey and secretKey of the aws provider, AWS_PROFILE, or AWS_ACCESS_KEY_ID " +
			"and AWS_SECRET_ACCESS_KEY"
	default:
		return err
	}
	return fmt.Errorf("%s\n  %w", advice, err)
}

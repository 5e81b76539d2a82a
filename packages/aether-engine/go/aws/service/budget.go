package service

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/budgets"
	"github.com/aws/aws-sdk-go-v2/service/budgets/types"

	"aether.dev/engine/aws/table"
)

// periodLayout is how programs write the period of a budget: 2026-11-21_00:00.
const periodLayout = "2006-01-02_15:04"

var notificationFields = table.Fields{
	"comparisonOperator":       {Kind: table.String, Required: true},
	"notificationType":         {Kind: table.String, Required: true},
	"threshold":                {Kind: table.Number, Required: true},
	"thresholdType":            {Kind: table.String, Required: true},
	"subscriberEmailAddresses": {Kind: table.Strings, Set: true},
	"subscriberSnsTopicArns":   {Kind: table.Strings, Set: true},
}

// sameAmount: the API answers 15 as 15.0.
func sameAmount(a, b any) bool {
	x, errX := strconv.ParseFloat(a.(string), 64)
	y, errY := strconv.ParseFloat(b.(string), 64)
	return errX == nil && errY == nil && x == y
}

func (s *Session) budgetResources() []*table.Resource {
	budget := &table.Resource{
		Token: "budgets/budget:Budget", Tagged: true, Name: "name",
		Fields: table.Fields{
			"name":            {Kind: table.String, Computed: true, Replace: true},
			"namePrefix":      {Kind: table.String, Computed: true, Replace: true},
			"accountId":       {Kind: table.String, Computed: true, Replace: true},
			"budgetType":      {Kind: table.String, Required: true},
			"timeUnit":        {Kind: table.String, Required: true},
			"limitAmount":     {Kind: table.String, Computed: true, Same: sameAmount},
			"limitUnit":       {Kind: table.String, Computed: true},
			"timePeriodStart": {Kind: table.String, Computed: true},
			"timePeriodEnd":   {Kind: table.String, Default: "2087-06-15_00:00"},
			"costFilters": {Kind: table.Objects, Computed: true, Type: "budgets/BudgetCostFilter", Elem: table.Fields{
				"name": {Kind: table.String, Required: true}, "values": {Kind: table.Strings, Required: true},
			}},
			"notifications": {
				Kind: table.Objects, Type: "budgets/BudgetNotification", Elem: notificationFields, Same: sameNotifications,
			},
			"arn": {Kind: table.String, Output: true},
		},
		Read: s.readBudget,
	}
	budget.Create = func(c *table.Call) (string, error) {
		account, err := s.budgetAccount(c)
		if err != nil {
			return "", err
		}
		tags := []types.ResourceTag{}
		for key, value := range c.In.Map("tagsAll") {
			tags = append(tags, types.ResourceTag{Key: aws.String(key), Value: aws.String(value)})
		}
		_, err = s.budgets.CreateBudget(c, &budgets.CreateBudgetInput{AccountId: &account, Budget: budgetOf(c.In), ResourceTags: tags})
		if err != nil {
			return "", err
		}
		id := account + ":" + c.In.Str("name")
		for _, notification := range c.In.Objects("notifications") {
			if err := s.notify(c, id, notification); err != nil {
				return id, err
			}
		}
		return id, nil
	}
	budget.Update = func(c *table.Call) error {
		account, _, _ := strings.Cut(c.ID, ":")
		_, err := s.budgets.UpdateBudget(c, &budgets.UpdateBudgetInput{AccountId: &account, NewBudget: budgetOf(c.In)})
		if err != nil {
			return err
		}
		return s.updateNotifications(c, budget)
	}
	budget.Delete = func(c *table.Call) error {
		account, name, _ := strings.Cut(c.ID, ":")
		_, err := s.budgets.DeleteBudget(c, &budgets.DeleteBudgetInput{AccountId: &account, BudgetName: &name})
		return gone(err, "NotFoundException")
	}
	return []*table.Resource{budget}
}

func (s *Session) budgetAccount(c *table.Call) (string, error) {
	if c.In.Has("accountId") {
		return c.In.Str("accountId"), nil
	}
	return s.accountID(c)
}

func budgetOf(in table.Values) *types.Budget {
	budget := &types.Budget{
		BudgetName: given(in, "name"), BudgetType: types.BudgetType(in.Str("budgetType")), TimeUnit: types.TimeUnit(in.Str("timeUnit")),
	}
	if in.Has("limitAmount") {
		budget.BudgetLimit = &types.Spend{Amount: given(in, "limitAmount"), Unit: given(in, "limitUnit")}
	}
	for _, one := range in.Objects("costFilters") {
		if budget.CostFilters == nil {
			budget.CostFilters = map[string][]string{}
		}
		budget.CostFilters[one.Str("name")] = one.Strs("values")
	}
	period := &types.TimePeriod{}
	for name, target := range map[string]**time.Time{"timePeriodStart": &period.Start, "timePeriodEnd": &period.End} {
		if moment, err := time.Parse(periodLayout, in.Str(name)); err == nil {
			*target, budget.TimePeriod = &moment, period
		}
	}
	return budget
}

func (s *Session) readBudget(c *table.Call) (table.Values, error) {
	account, name, _ := strings.Cut(c.ID, ":")
	found, err := s.budgets.DescribeBudget(c, &budgets.DescribeBudgetInput{AccountId: &account, BudgetName: &name})
	if has(err, "NotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.Budget
	state := table.Values{
		"name": text(actual.BudgetName), "accountId": account, "budgetType": string(actual.BudgetType),
		"timeUnit": string(actual.TimeUnit), "arn": "arn:aws:budgets::" + account + ":budget/" + name,
	}
	if actual.BudgetLimit != nil {
		state["limitAmount"], state["limitUnit"] = text(actual.BudgetLimit.Amount), text(actual.BudgetLimit.Unit)
	}
	if actual.TimePeriod != nil && actual.TimePeriod.Start != nil {
		state["timePeriodStart"] = actual.TimePeriod.Start.UTC().Format(periodLayout)
	}
	notifications, err := s.readNotifications(c, account, name)
	if err != nil {
		return nil, err
	}
	state["notifications"] = notifications
	// The API has tags of budgets on their own, by ARN; what was asked for is what is there.
	state["tagsAll"] = c.In["tagsAll"]
	return state, nil
}

func (s *Session) readNotifications(c *table.Call, account, name string) ([]any, error) {
	list := []any{}
	found, err := s.budgets.DescribeNotificationsForBudget(c, &budgets.DescribeNotificationsForBudgetInput{
		AccountId: &account, BudgetName: &name,
	})
	if err != nil {
		return list, gone(err, "NotFoundException")
	}
	for _, actual := range found.Notifications {
		one := map[string]any{
			"comparisonOperator": string(actual.ComparisonOperator), "notificationType": string(actual.NotificationType),
			"threshold": actual.Threshold, "thresholdType": string(actual.ThresholdType),
		}
		emails, topics := []string{}, []string{}
		for _, subscriber := range s.subscribers(c, account, name, &actual) {
			if subscriber.SubscriptionType == types.SubscriptionTypeEmail {
				emails = append(emails, aws.ToString(subscriber.Address))
			} else {
				topics = append(topics, aws.ToString(subscriber.Address))
			}
		}
		if len(emails) > 0 {
			one["subscriberEmailAddresses"] = table.List(emails)
		}
		if len(topics) > 0 {
			one["subscriberSnsTopicArns"] = table.List(topics)
		}
		list = append(list, one)
	}
	return list, nil
}

func (s *Session) subscribers(c *table.Call, account, name string, notification *types.Notification) []types.Subscriber {
	found, err := s.budgets.DescribeSubscribersForNotification(c, &budgets.DescribeSubscribersForNotificationInput{
		AccountId: &account, BudgetName: &name, Notification: notification,
	}, func(o *budgets.Options) { o.RetryMaxAttempts = 2 })
	if err != nil {
		// An API without this call (a simulated one) cannot tell: what was asked for is what is there.
		for _, asked := range c.In.Objects("notifications") {
			if asked.Str("notificationType") == string(notification.NotificationType) && asked.Number("threshold") == notification.Threshold {
				return subscribersOf(asked)
			}
		}
		return nil
	}
	return found.Subscribers
}

func subscribersOf(in table.Values) []types.Subscriber {
	list := []types.Subscriber{}
	for _, address := range in.Strs("subscriberEmailAddresses") {
		list = append(list, types.Subscriber{SubscriptionType: types.SubscriptionTypeEmail, Address: aws.String(address)})
	}
	for _, address := range in.Strs("subscriberSnsTopicArns") {
		list = append(list, types.Subscriber{SubscriptionType: types.SubscriptionTypeSns, Address: aws.String(address)})
	}
	return list
}

func notificationOf(in table.Values) *types.Notification {
	return &types.Notification{
		ComparisonOperator: types.ComparisonOperator(in.Str("comparisonOperator")),
		NotificationType:   types.NotificationType(in.Str("notificationType")),
		Threshold:          in.Number("threshold"), ThresholdType: types.ThresholdType(in.Str("thresholdType")),
	}
}

func (s *Session) notify(c *table.Call, id string, in table.Values) error {
	account, name, _ := strings.Cut(id, ":")
	_, err := s.budgets.CreateNotification(c, &budgets.CreateNotificationInput{
		AccountId: &account, BudgetName: &name, Notification: notificationOf(in), Subscribers: subscribersOf(in),
	})
	return err
}

func (s *Session) updateNotifications(c *table.Call, budget *table.Resource) error {
	if !c.Changed(budget, "notifications") {
		return nil
	}
	account, name, _ := strings.Cut(c.ID, ":")
	for _, old := range c.OldIn.Objects("notifications") {
		_, err := s.budgets.DeleteNotification(c, &budgets.DeleteNotificationInput{
			AccountId: &account, BudgetName: &name, Notification: notificationOf(old),
		})
		if gone(err, "NotFoundException") != nil {
			return err
		}
	}
	for _, notification := range c.In.Objects("notifications") {
		if err := s.notify(c, c.ID, notification); err != nil {
			return err
		}
	}
	return nil
}

// sameNotifications compares without order, which the API does not keep.
func sameNotifications(a, b any) bool {
	return maps.Equal(notificationSet(a), notificationSet(b))
}

func notificationSet(value any) map[string]bool {
	set := map[string]bool{}
	for _, one := range (table.Values{"": value}).Objects("") {
		addresses := append(one.Strs("subscriberEmailAddresses"), one.Strs("subscriberSnsTopicArns")...)
		slices.Sort(addresses)
		set[strings.Join(append([]string{
			one.Str("comparisonOperator"), one.Str("notificationType"), one.Str("thresholdType"),
			strconv.FormatFloat(one.Number("threshold"), 'g', -1, 64),
		}, addresses...), " ")] = true
	}
	return set
}
